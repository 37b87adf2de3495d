-- Compare and set: the session goes on under a new epoch, once what it had not told is told under the old one.
local now, us = clock(ARGV[1])
local sid, old, mid, next, told, origin, r = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8])
local s, g = base .. 's:' .. sid, base .. 'g:' .. mid
local f = call('HMGET', s, 'e', 'q', 'life', 'a')
local own = life()
if f[1] ~= old or f[3] == own or f[4] ~= mid then return 0 end
local top = tonumber(f[2])
if mid ~= '' then
  local a = call('HMGET', g, 'n', 'told', 'st')
  if a[1] ~= next or a[2] ~= told then return 0 end
  tellRuns(base, s, 9, r, old, tonumber(a[3]))
  top = tonumber(a[3]) + tonumber(next)
end
local epoch = whole(math.max(us, tonumber(old) + 1))
-- An epoch without a step is no one's previous one.
if top > 0 then call('HSET', s, 'pe', old, 'ps', top) end
call('HSET', s, 'e', epoch, 'q', 0, 'life', own, 'x', 0, 'f', 1, 'ends', '')
if mid ~= '' then
  call('HSET', g, 'ep', epoch, 'st', -tonumber(next), 'told', next, 'life', own)
  call('HDEL', g, 'w')
end
say(base, sid, origin .. '\0m')
return 1
