-- Fills a shard's outbox as the hot state does: topic, then a session, head and JSON without its end for each of two kinds
-- of events; every tenth is the second. A run of numbers makes ids that differ.
local base, from, count = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local bytes = 0
for k = from + 1, from + count do
  local at = k % 10 == 0 and 8 or 4
  local id = string.format('%012x', k)
  local sid = ARGV[12 + k % (#ARGV - 11)]
  local head = string.gsub(ARGV[at + 1], 'EVENT', id)
  local json = string.gsub(string.gsub(ARGV[at + 2], 'EVENT', id), 'SESSION', sid)
  local value = json .. ',"epoch":1792918800000000,"seq":' .. k .. '}'
  redis.call('XADD', base .. 'outbox', '*', 't', ARGV[at], 'k', sid, 'h', head, 'v', value)
  bytes = bytes + #value
end
redis.call('HINCRBY', base .. 'outbox:size', 'n', count)
redis.call('HINCRBY', base .. 'outbox:size', 'b', bytes)
return count
