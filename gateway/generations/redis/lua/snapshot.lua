-- Any number of sessions: of each its base and id.
local lives = life()

local function snapshot(own, sid)
  local f = call('HMGET', own .. 's:' .. sid, 't', 'u', 'e', 'q', 'life', 'a', 'o')
  if not f[1] then return { 'absent' } end
  if f[5] ~= lives then return { 'epoch' } end
  local top, g = topOf(own, f[4], f[6])
  local reply = { 'snapshot', f[1], f[2], f[3], top, f[7], call('LRANGE', own .. 'h:' .. sid, 0, -1), f[6] }
  if g then
    reply[9], reply[10], reply[11], reply[12] = g[3], g[4], g[5], tonumber(g[1])
  end
  return reply
end

local replies = {}
for k = 1, #ARGV, 2 do replies[#replies + 1] = snapshot(ARGV[k], ARGV[k + 1]) end
return replies
