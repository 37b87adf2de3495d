-- What the log has taken: of each shard its base, a number of entries, the bytes of each with commas between, then their
-- ids, in order. What another relay has taken out before is not subtracted again.

-- Whether all from the first to the last are there, as far as two looks can tell: relays take out from the front.
local function areThere(key, first, last)
  for _, id in ipairs({ first, last }) do
    if not call('XRANGE', key, id, id, 'COUNT', 1)[1] then return false end
  end
  return true
end

-- One call for all of them costs less than half, and the append-only file less than that, but tells only how many went.
local function takenAtOnce(key, sizes, from, count)
  local bytes = 0
  for size in string.gmatch(sizes, '%d+') do bytes = bytes + size end
  local events = call('XDEL', key, unpack(ARGV, from, from + count - 1))
  return events, math.floor(bytes * events / count)
end

local function takenEach(key, sizes, from)
  local events, bytes, at = 0, 0, from
  for size in string.gmatch(sizes, '%d+') do
    if call('XDEL', key, ARGV[at]) == 1 then
      events = events + 1
      bytes = bytes + size
    end
    at = at + 1
  end
  return events, bytes
end

local k = 1
while k <= #ARGV do
  local own, count, sizes, from = ARGV[k], tonumber(ARGV[k + 1]), ARGV[k + 2], k + 3
  local key = own .. 'outbox'
  local events, bytes
  if areThere(key, ARGV[from], ARGV[from + count - 1]) then
    events, bytes = takenAtOnce(key, sizes, from, count)
  else
    events, bytes = takenEach(key, sizes, from)
  end
  counted(own, -events, -bytes)
  -- A hole between first and last makes `bytes` a guess, which ends here.
  if call('XLEN', key) == 0 then call('DEL', own .. 'outbox:size') end
  k = from + count
end
return 1
