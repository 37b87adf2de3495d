local now, us = clock(ARGV[1])
local sid, tenant, user, ifAbsent, ttl = ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local s = base .. 's:' .. sid
local f = call('HMGET', s, 't', 'u', 'e', 'q', 'life', 'a')
if not f[1] then
  if ifAbsent == 'ask' then return { 'absent' } end
  local epoch = whole(us)
  call('HSET', s, 't', tenant, 'u', user, 'e', epoch, 'q', 0, 'life', life(), 'a', '', 'b', 0, 'x', 0, 'f', 1, 'o', 0, 'hb', 0, 'ends', '')
  touch(base, sid, now, ttl)
  return { 'open', epoch, 0 }
end
if f[1] ~= tenant or f[2] ~= user then return { 'forbidden' } end
if f[5] ~= life() then return { 'epoch' } end
if f[6] == '' and call('PTTL', s) < ttl - ttl / 32 then touch(base, sid, now, ttl) end
return { 'open', f[3], topOf(base, f[4], f[6]) }
