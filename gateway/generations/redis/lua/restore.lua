local now, us = clock(ARGV[1])
local sid, tenant, user = ARGV[2], ARGV[3], ARGV[4]
local lastEpoch, lastSeq, older, ttl = ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8])
local countMax, historyMax, origin, count = tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[11], tonumber(ARGV[12])
local s, h = base .. 's:' .. sid, base .. 'h:' .. sid
if call('EXISTS', s) == 1 then return 0 end
local epoch = whole(math.max(us, tonumber(lastEpoch) + 1))
call('DEL', h, base .. 'l:' .. sid)
local bytes, at = 0, 13
for k = 1, count do
  local mid, json = ARGV[at], ARGV[at + 7]
  call('RPUSH', h, mid .. ' ' .. json)
  bytes = bytes + #json
  if ARGV[at + 1] == '1' then
    local g = base .. 'g:' .. mid
    if call('EXISTS', g) == 0 then
      call('HSET', g, 'sid', sid, 't', tenant, 'u', user, 'um', ARGV[at + 2], 'mo', ARGV[at + 3], 'at', ARGV[at + 4], 'ep', lastEpoch,
        'st', 0, 'n', ARGV[at + 5], 'told', ARGV[at + 5], 'tok', '', 'status', 'finished', 'life', '', 'out', ARGV[at + 6], 'bg', whole(now))
    elseif call('HSETNX', g, 'out', ARGV[at + 6]) == 1 then
      call('ZREM', base .. 'leases', mid)
    end
    if call('PTTL', g) == -1 then call('PEXPIRE', g, DAY) end
  end
  at = at + 8
end
local went
bytes, went = trimHistory(h, bytes, countMax, historyMax)
call('HSET', s, 't', tenant, 'u', user, 'e', epoch, 'q', 0, 'life', life(), 'a', '', 'b', 1, 'x', 0, 'f', 1, 'o', went and 1 or older,
  'hb', bytes, 'ends', '', 'pe', lastEpoch, 'ps', lastSeq)
touch(base, sid, now, ttl)
say(base, sid, origin .. '\0m')
return 1
