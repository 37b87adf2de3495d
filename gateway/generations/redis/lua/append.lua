-- Steps of any number of answers; each is for itself. Three numbers a step: what it is, and two that go with it.
local APPLIED, ALREADY, BEHIND, TOLD, REFUSED, LOST, EPOCH = 0, 1, 2, 3, 4, 5, 6
local own, origin = life(), ARGV[1]

local function step(base, sid, mid, token, next, n, chunks, r)
  local runs = chunks + 2 * n
  local g = base .. 'g:' .. mid
  local f = call('HMGET', g, 'tok', 'n', 'told', 'out', 'ep', 'st', 'life')
  if not f[1] then return LOST, 0, 0 end
  local have, told = tonumber(f[2]), tonumber(f[3])
  local isTold = r == 0 or tonumber(ARGV[runs + 6 * r - 5]) <= told
  if f[4] then
    if f[1] == token and next + n <= have and isTold then return ALREADY, 0, 0 end
    return REFUSED, 0, 0
  end
  if f[1] ~= token then return REFUSED, 0, 0 end
  if f[7] ~= own then return EPOCH, 0, 0 end
  if next > have then return BEHIND, have, 0 end
  if next < have then
    if next + n <= have and isTold then return ALREADY, 0, 0 end
    return BEHIND, have, 0
  end
  if n == 0 and isTold then return ALREADY, 0, 0 end
  if r > 0 and not isRow(runs, r, told, next + n) then return TOLD, told, 0 end

  local epoch, start = f[5], tonumber(f[6])
  if r > 0 then
    tellRuns(base, base .. 's:' .. sid, runs, r, epoch, start)
    call('HSET', g, 'told', ARGV[runs + 6 * r - 5], 'n', next + n, 'w', writer(token, epoch, start))
  else
    call('HSET', g, 'n', next + n, 'w', writer(token, epoch, start))
  end
  local seq = start + have + 1
  if n == 0 then return APPLIED, tonumber(epoch), seq end
  local l, prefix = base .. 'l:' .. sid, epoch .. '-'
  for k = 0, n - 1 do
    call('XADD', l, prefix .. (seq + k), ARGV[chunks + 2 * k], ARGV[chunks + 2 * k + 1])
  end
  call('SPUBLISH', base .. 'd:' .. sid, origin .. '\0c\0' .. epoch .. '\0' .. (seq + n - 1) .. '\0' .. seq .. '\0' .. have ..
    '\0' .. mid .. '\0' .. table.concat(ARGV, '\0', chunks, runs - 1))
  return APPLIED, tonumber(epoch), seq
end

local out, o, i, last = {}, 0, 2, #ARGV
while i <= last do
  local n, r = tonumber(ARGV[i + 5]), tonumber(ARGV[i + 6])
  out[o + 1], out[o + 2], out[o + 3] =
    step(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], tonumber(ARGV[i + 4]), n, i + 7, r)
  o = o + 3
  i = i + 7 + 2 * n + 6 * r
end
return out
