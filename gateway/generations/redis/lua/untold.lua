-- What a session of another life has that no event tells.
local sid = ARGV[1]
local f = call('HMGET', base .. 's:' .. sid, 't', 'u', 'e', 'q', 'life', 'a')
if not f[1] or f[5] == life() then return { 'current' } end
local top, g = topOf(base, f[4], f[6])
if not g then return { 'other', f[1], f[2], f[3], top, '' } end
local told, entries, k = tonumber(g[6]), {}, 0
local got = told < tonumber(g[2]) and call('XRANGE', base .. 'l:' .. sid, '(' .. g[7], '+', 'COUNT', g[2]) or {}
for index = told + 1, #got do
  entries[k + 1], entries[k + 2] = got[index][2][1], got[index][2][2]
  k = k + 2
end
return { 'other', f[1], f[2], f[3], top, f[6], g[2], g[6], entries }
