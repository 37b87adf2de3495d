-- Of shards, each its base and the id after which to look ('-': all): whether something waits, and its size on average.
local out = {}
for k = 1, #ARGV, 2 do
  local from = ARGV[k + 1]
  if from ~= '-' then from = '(' .. from end
  local size = 0
  if call('XRANGE', ARGV[k] .. 'outbox', from, '+', 'COUNT', 1)[1] then
    local counted = call('HMGET', ARGV[k] .. 'outbox:size', 'n', 'b')
    size = math.max(1, math.ceil((tonumber(counted[2]) or 0) / math.max(1, tonumber(counted[1]) or 0)))
  end
  out[#out + 1] = size
end
return out
