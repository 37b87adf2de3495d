local sid = ARGV[1]
local f = call('HMGET', base .. 's:' .. sid, 't', 'u', 'e', 'q', 'life', 'a', 'o')
if not f[1] then return { 'absent' } end
if f[5] ~= life() then return { 'epoch' } end
local top, g = topOf(base, f[4], f[6])
local reply = { 'snapshot', f[1], f[2], f[3], top, f[7], call('LRANGE', base .. 'h:' .. sid, 0, -1), f[6] }
if g then
  reply[9], reply[10], reply[11], reply[12] = g[3], g[4], g[5], tonumber(g[1])
end
return reply
