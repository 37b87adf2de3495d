-- Any number of sessions: of each its base, id, tenant, user, and what to do if it is not there.
local now, us = clock(ARGV[1])
local ttl, lives = tonumber(ARGV[2]), life()

local function open(own, sid, tenant, user, ifAbsent)
  local s = own .. 's:' .. sid
  local f = call('HMGET', s, 't', 'u', 'e', 'q', 'life', 'a')
  if not f[1] then
    if ifAbsent == 'ask' then return { 'absent' } end
    local epoch = whole(us)
    call('HSET', s, 't', tenant, 'u', user, 'e', epoch, 'q', 0, 'life', lives, 'a', '', 'b', 0, 'x', 0, 'f', 1, 'o', 0, 'hb', 0, 'ends', '')
    touch(own, sid, now, ttl)
    return { 'open', epoch, 0 }
  end
  if f[1] ~= tenant or f[2] ~= user then return { 'forbidden' } end
  if f[5] ~= lives then return { 'epoch' } end
  if f[6] == '' and call('PTTL', s) < ttl - ttl / 32 then touch(own, sid, now, ttl) end
  return { 'open', f[3], topOf(own, f[4], f[6]) }
end

local replies = {}
for k = 3, #ARGV, 5 do
  replies[#replies + 1] = open(ARGV[k], ARGV[k + 1], ARGV[k + 2], ARGV[k + 3], ARGV[k + 4])
end
return replies
