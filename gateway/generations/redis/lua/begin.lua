local now, us = clock(ARGV[1])
local sid, tenant, user, ifAbsent = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local mid, umid, token, lease, at = ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9]), ARGV[10]
local rid, digest, model, regenerates, question, frame = ARGV[11], ARGV[12], ARGV[13], ARGV[14], ARGV[15], ARGV[16]
local eventsMax, bytesMax, memory = tonumber(ARGV[17]), tonumber(ARGV[18]), ARGV[19]
local resumeTtl, countMax, historyMax, origin = tonumber(ARGV[20]), tonumber(ARGV[21]), tonumber(ARGV[22]), ARGV[23]
-- The last step that the caller knows of, when it begins again what Redis has lost.
local lastEpoch, lastSeq = ARGV[24], ARGV[25]
local first, count = 26, tonumber(ARGV[30])
local s, g, l, h = base .. 's:' .. sid, base .. 'g:' .. mid, base .. 'l:' .. sid, base .. 'h:' .. sid
local r = base .. 'r:' .. sid .. ':' .. rid

-- The first one's ids; of this very step also whether its answer is still the caller's, and where it stands.
local function already(knownId, question)
  local k = call('HMGET', base .. 'g:' .. knownId, 'tok', 'out', 'ep', 'st')
  local isOwn = k[1] == token and not k[2]
  return { 'already', knownId, question, isOwn and 1 or 0, k[3] or '0', k[4] or '0' }
end

if rid ~= '' then
  local known = call('HMGET', r, 't', 'u', 'm', 'q', 'd')
  if known[1] == tenant and known[2] == user then
    if known[5] ~= digest then return { 'conflict' } end
    return already(known[3], known[4])
  end
end
local same = call('HGET', g, 'um')
if same then return already(mid, same) end
local f = call('HMGET', s, 't', 'u', 'e', 'q', 'life', 'a', 'b', 'f', 'o', 'hb', 'ends')
local own = life()
if f[1] then
  if f[1] ~= tenant or f[2] ~= user then return { 'forbidden' } end
  if f[5] ~= own then return { 'epoch' } end
  if f[6] ~= '' then return { 'busy', f[6] } end
elseif ifAbsent == 'ask' then
  return { 'absent' }
end
local size = call('HMGET', base .. 'outbox:size', 'n', 'b')
if tonumber(size[1] or 0) >= eventsMax or tonumber(size[2] or 0) >= bytesMax then return { 'full', 'outbox' } end
if memory == '1' then return { 'full', 'memory' } end

if not f[1] then
  local fresh = lastEpoch == '' and us or math.max(us, tonumber(lastEpoch) + 1)
  f = { tenant, user, whole(fresh), '0', own, '', '0', '1', '0', '0', '' }
  call('HSET', s, 't', tenant, 'u', user, 'e', f[3], 'life', own, 'x', 0)
  if lastEpoch ~= '' then call('HSET', s, 'pe', lastEpoch, 'ps', lastSeq) end
end
local epoch, seq, from, older, bytes = f[3], tonumber(f[4]) + 1, tonumber(f[8]), f[9], tonumber(f[10])
-- A session that is never idle for long would else keep its log for good.
if call('EXISTS', l) == 0 then from = seq end
local ends, cut = '', nil
for ended, endedAt in string.gmatch(f[11], '(%d+):(%d+),') do
  if tonumber(endedAt) + resumeTtl <= now then cut = tonumber(ended)
  else ends = ends .. ended .. ':' .. endedAt .. ',' end
end
if cut and cut >= from then
  call('XTRIM', l, 'MINID', epoch .. '-' .. whole(cut + 1))
  from = cut + 1
end
if question ~= '' then
  call('RPUSH', h, umid .. ' ' .. question)
  local went
  bytes, went = trimHistory(h, bytes + #question, countMax, historyMax)
  if went then older = '1' end
end
local lid = epoch .. '-' .. seq
call('XADD', l, lid, 's', mid .. ' ' .. frame)
if f[7] == '1' then tellAll(base, s, first + 5, count, epoch, seq)
else
  -- The session's beginning stands in front of the others, over the place of their count.
  local previous, total = previousOf(s), 0
  total = tell(base, first, closed(ARGV[first + 3], epoch, seq, nil, previous))
  counted(base, 1, total)
  tellAll(base, s, first + 5, count, epoch, seq)
end
-- What each chunk looks at stands first.
call('HSET', g, 'w', writer(token, epoch, seq), 'n', 0, 'life', own, 'tok', token, 'told', 0, 'ep', epoch, 'st', seq, 'sid', sid, 't', tenant, 'u', user, 'um', umid, 'mo', model, 'at', at,
  'status', 'queued', 'lid', lid, 'bg', whole(now))
if regenerates ~= '' then call('HSET', g, 'reg', regenerates) end
if rid ~= '' then
  call('HSET', g, 'rid', rid)
  call('HSET', r, 't', tenant, 'u', user, 'm', mid, 'q', umid, 'd', digest)
  call('PEXPIRE', r, DAY)
end
call('HSET', s, 'q', seq, 'a', mid, 'b', 1, 'f', from, 'o', older, 'hb', bytes, 'ends', ends)
call('ZADD', base .. 'leases', now + lease, mid)
call('PERSIST', s)
call('PERSIST', h)
call('PERSIST', l)
say(base, sid, origin .. '\0s\0' .. epoch .. '\0' .. seq .. '\0' .. mid .. '\0' .. frame)
return { 'applied', epoch, seq }
