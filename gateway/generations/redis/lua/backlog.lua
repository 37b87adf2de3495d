-- Now in ms, then of each shard (its base): how many entries wait, their bytes, for how many ms the oldest has waited,
-- whether a relay holds the shard, and how many entries were refused.
local call = redis.call
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local out = { now }
for _, base in ipairs(ARGV) do
  local size = call('HMGET', base .. 'outbox:size', 'n', 'b')
  local first = call('XRANGE', base .. 'outbox', '-', '+', 'COUNT', 1)[1]
  local since = first and tonumber(string.match(first[1], '^%d+')) or now
  out[#out + 1] = tonumber(size[1]) or 0
  out[#out + 1] = tonumber(size[2]) or 0
  out[#out + 1] = math.max(0, now - since)
  out[#out + 1] = call('EXISTS', base .. 'relay')
  out[#out + 1] = call('XLEN', base .. 'outbox:refused')
end
return out
