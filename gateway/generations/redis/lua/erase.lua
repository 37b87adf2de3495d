local now = clock(ARGV[1])
local sid, tenant, user, erasureId, frame = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local resumeTtl, historyTtl, origin, count = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9], tonumber(ARGV[10])
local s, l, h, e = base .. 's:' .. sid, base .. 'l:' .. sid, base .. 'h:' .. sid, base .. 'e:' .. erasureId
local before = call('HMGET', e, 'e', 'q')
if before[1] then return { 'already', before[1], before[2] } end
local f = call('HMGET', s, 't', 'u', 'e', 'q', 'life', 'a')
if not f[1] then return { 'absent' } end
if f[1] ~= tenant or f[2] ~= user then return { 'forbidden' } end
if f[5] ~= life() then return { 'epoch' } end
if f[6] ~= '' then return { 'busy', f[6] } end
local epoch, seq = f[3], tonumber(f[4]) + 1
tellAll(base, s, 11, count, epoch, seq)
for _, entry in ipairs(call('LRANGE', h, 0, -1)) do
  local g = base .. 'g:' .. string.match(entry, '^(%S+) ')
  if call('EXISTS', g) == 1 then
    call('HSET', g, 'er', 1)
    call('PEXPIRE', g, DAY)
  end
end
call('DEL', l, h)
call('XADD', l, epoch .. '-' .. seq, 'e', frame)
call('HSET', e, 'e', epoch, 'q', seq)
call('PEXPIRE', e, DAY)
call('HSET', s, 'q', seq, 'f', seq, 'x', seq, 'o', 0, 'hb', 0, 'ends', '')
local kept = keptFor(base, now, historyTtl)
call('PEXPIRE', s, kept)
call('PEXPIRE', l, math.min(resumeTtl, kept))
say(base, sid, origin .. '\0e\0' .. epoch .. '\0' .. seq .. '\0' .. frame)
return { 'applied', epoch, seq }
