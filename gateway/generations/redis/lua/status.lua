local sid, mid, status, origin = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local g = call('HMGET', base .. 'g:' .. mid, 'sid', 'out', 'status')
if g[1] ~= sid or g[2] then return 0 end
if g[3] == status then return 2 end
call('HSET', base .. 'g:' .. mid, 'status', status)
say(base, sid, origin .. '\0t\0' .. mid .. '\0' .. status)
return 1
