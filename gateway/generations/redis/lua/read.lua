-- Any number of sessions: of each its base and id, the place to read after, and how much at most, in steps and bytes.
local lives = life()

local function read(own, sid, epoch, seq, stepsMax, bytesMax)
  local s, l = own .. 's:' .. sid, own .. 'l:' .. sid
  local f = call('HMGET', s, 'e', 'q', 'life', 'a', 'x', 'f')
  if not f[1] then return { 'absent' } end
  if f[3] ~= lives then return { 'epoch' } end
  local top, g = topOf(own, f[2], f[4])
  if epoch ~= f[1] then return { 'snapshot', 'epoch' } end
  if seq > top then return { 'snapshot', 'ahead' } end
  local start = g and tonumber(g[1])
  -- An active answer from before this epoch goes on in it: its chunks of before stand below 1.
  local isBelow = g and seq >= start and seq < 0
  local hasLog = call('EXISTS', l) == 1
  local from = hasLog and tonumber(f[6]) or top + 1
  if not isBelow then
    if seq < tonumber(f[5]) - 1 then return { 'snapshot', 'erased' } end
    if seq < from - 1 then return { 'snapshot', 'expired' } end
  end
  local reply = { 'steps', f[1], top, f[4], g and g[5] or '', (seq == top and from > top and top > 0) and 1 or 0, '', 0 }
  if seq >= top then return reply end

  local entries, bytes, skip = {}, 0, 0
  local after = '(' .. epoch .. '-' .. seq
  if isBelow then
    after = '(' .. g[7]
    skip = seq - start
  end
  local steps, page = 0, math.min(stepsMax, 200)
  while steps < stepsMax do
    local got = call('XRANGE', l, after, '+', 'COUNT', page)
    for _, entry in ipairs(got) do
      if skip > 0 then skip = skip - 1
      else
        local field, value = entry[2][1], entry[2][2]
        bytes = bytes + 16 + #value
        if steps == 0 and not isBelow and entry[1] ~= epoch .. '-' .. (seq + 1) then return { 'snapshot', 'expired' } end
        if steps > 0 and bytes > bytesMax then steps = stepsMax end
        if steps >= stepsMax then break end
        entries[2 * steps + 1], entries[2 * steps + 2] = field, value
        steps = steps + 1
      end
    end
    if #got < page or steps >= stepsMax then break end
    after = '(' .. got[#got][1]
  end
  if #entries == 0 then return { 'snapshot', 'expired' } end
  -- Whose chunks the first ones are, when no step in here tells.
  if g and seq >= start then reply[7], reply[8] = f[4], start
  elseif tonumber(entries[1]) then
    local isTold = false
    for k = 1, #entries, 2 do
      if entries[k] == 'd' then isTold = true break end
    end
    local before = '(' .. epoch .. '-' .. (seq + 1)
    while not isTold do
      local got = call('XREVRANGE', l, before, '-', 'COUNT', 200)
      if #got == 0 then return { 'snapshot', 'expired' } end
      for _, entry in ipairs(got) do
        if entry[2][1] == 's' then
          reply[7] = string.match(entry[2][2], '^(%S+) ')
          -- Its place is that of its last epoch; it may have begun in one before.
          reply[8] = tonumber(call('HGET', own .. 'g:' .. reply[7], 'st'))
          if not reply[8] then return { 'snapshot', 'expired' } end
          isTold = true
          break
        end
      end
      before = '(' .. got[#got][1]
    end
  end
  reply[9] = entries
  return reply
end

local replies = {}
for k = 1, #ARGV, 6 do
  local seq, stepsMax, bytesMax = tonumber(ARGV[k + 3]), tonumber(ARGV[k + 4]), tonumber(ARGV[k + 5])
  replies[#replies + 1] = read(ARGV[k], ARGV[k + 1], ARGV[k + 2], seq, stepsMax, bytesMax)
end
return replies
