local now = clock(ARGV[1])
local sid, mid, token, next, outcome = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
local frame, message, resumeTtl, historyTtl = ARGV[7], ARGV[8], tonumber(ARGV[9]), tonumber(ARGV[10])
local countMax, historyMax, origin, r, count = tonumber(ARGV[11]), tonumber(ARGV[12]), ARGV[13], tonumber(ARGV[14]), tonumber(ARGV[15])
local runs = 16
local s, g, l, h = base .. 's:' .. sid, base .. 'g:' .. mid, base .. 'l:' .. sid, base .. 'h:' .. sid
local f = call('HMGET', g, 'tok', 'n', 'told', 'out', 'ep', 'st', 'life', 'bg')
if not f[1] then return { 'lost' } end
if f[4] then
  if f[1] ~= token then return { 'refused' } end
  return { 'already', f[4] }
end
if f[1] ~= token then return { 'refused' } end
if f[7] ~= life() then return { 'epoch' } end
local have, told, epoch, start = tonumber(f[2]), tonumber(f[3]), f[5], tonumber(f[6])
if next ~= have then return { 'behind', have } end
local upto = r > 0 and tonumber(ARGV[runs + 6 * r - 5]) or told
if upto ~= have or not isRow(runs, r, told, have) then return { 'told', told } end

local seq = start + have + 1
tellRuns(base, s, runs, r, epoch, start)
tellAll(base, s, runs + 6 * r, count, epoch, seq)
call('XADD', l, epoch .. '-' .. seq, 'd', mid .. ' ' .. have .. ' ' .. frame)
local kept = keptFor(base, now, historyTtl)
call('HSET', g, 'out', outcome, 'told', have)
call('HDEL', g, 'w')
call('PEXPIRE', g, math.max(tonumber(f[8]) + DAY - now, kept))
call('ZREM', base .. 'leases', mid)
call('RPUSH', h, mid .. ' ' .. message)
local own = call('HMGET', s, 'hb', 'o', 'ends')
local bytes, went = trimHistory(h, tonumber(own[1]) + #message, countMax, historyMax)
-- An end that is left out goes with a later one.
local ends, lastAt = own[3], tonumber(string.match(own[3], ':(%d+),$') or 0)
if now - lastAt >= resumeTtl / 16 then ends = ends .. seq .. ':' .. whole(now) .. ',' end
call('HSET', s, 'q', seq, 'a', '', 'hb', bytes, 'o', went and 1 or own[2], 'ends', ends)
call('PEXPIRE', s, kept)
call('PEXPIRE', h, kept)
call('PEXPIRE', l, math.min(resumeTtl, kept))
say(base, sid, origin .. '\0d\0' .. epoch .. '\0' .. seq .. '\0' .. mid .. '\0' .. frame)
return { 'applied', epoch, seq }
