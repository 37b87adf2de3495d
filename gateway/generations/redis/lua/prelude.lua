-- In front of every script. Keys of a shard begin with its base, `<prefix>{<tag>}:`.
-- `s:` session, `l:` its log, `h:` its history, `g:` an answer, `r:` a request key, `e:` an erasure, `leases`, `outbox`;
-- `c:` and `d:` are its channels, `d:` that of chunks, which their owner's process need not hear.
local call = redis.call
local DAY = 86400000

-- Whose life it is: changes with every restart and failover, so with all that may have lost something.
local function life()
  return string.match(call('INFO', 'replication'), 'master_replid:(%x+)')
end

-- Milliseconds and microseconds of this server's clock; `ahead` is for tests alone.
local function clock(ahead)
  local t = call('TIME')
  local us = t[1] * 1000000 + t[2] + ahead * 1000
  return math.floor(us / 1000), us
end

local function whole(number)
  return string.format('%.0f', number)
end

local function closed(json, epoch, seq, from, previous)
  local tail = ',"epoch":' .. epoch .. ',"seq":' .. seq
  if from then tail = tail .. ',"fromSeq":' .. from end
  if previous then tail = tail .. previous end
  return json .. tail .. '}'
end

-- Puts an event into the outbox: `at` is where its topic, key, head and JSON stand in ARGV.
local function tell(base, at, value)
  call('XADD', base .. 'outbox', '*', 't', ARGV[at], 'k', ARGV[at + 1], 'h', ARGV[at + 2], 'v', value)
  return #value
end

local function counted(base, events, bytes)
  if events == 0 then return end
  call('HINCRBY', base .. 'outbox:size', 'n', events)
  call('HINCRBY', base .. 'outbox:size', 'b', bytes)
end

-- What the first event of an epoch says of the one before; said once.
local function previousOf(s)
  local p = call('HMGET', s, 'pe', 'ps')
  if not p[1] then return nil end
  call('HDEL', s, 'pe', 'ps')
  return ',"previous":{"epoch":' .. p[1] .. ',"seq":' .. p[2] .. '}'
end

-- Events of one step, four arguments each.
local function tellAll(base, s, at, count, epoch, seq)
  if count == 0 then return end
  local previous, bytes = previousOf(s), 0
  for k = 0, count - 1 do
    bytes = bytes + tell(base, at + 4 * k, closed(ARGV[at + 4 * k + 3], epoch, seq, nil, previous))
    previous = nil
  end
  counted(base, count, bytes)
end

-- Runs, six arguments each: from, to, then the event.
local function tellRuns(base, s, at, count, epoch, start)
  if count == 0 then return end
  local previous, bytes = previousOf(s), 0
  for k = 0, count - 1 do
    local r = at + 6 * k
    local value = closed(ARGV[r + 5], epoch, start + ARGV[r + 1], start + 1 + ARGV[r], previous)
    bytes = bytes + tell(base, r + 2, value)
    previous = nil
  end
  counted(base, count, bytes)
end

-- Whether the runs are a row without a gap from `told` on, ending at or before `to`.
local function isRow(at, count, told, to)
  for k = 0, count - 1 do
    local from, upto = tonumber(ARGV[at + 6 * k]), tonumber(ARGV[at + 6 * k + 1])
    if from ~= told or upto <= from then return false end
    told = upto
  end
  return told <= to
end

-- What the owner of an answer knows of its place: as long as it stands so, `chunks.lua` needs no further look.
local function writer(token, epoch, start)
  return token .. ' ' .. epoch .. ' ' .. start
end

local function say(base, sid, payload)
  call('SPUBLISH', base .. 'c:' .. sid, payload)
end

-- How long an idle session is kept: longer while what it told waits in the outbox, for Postgres can't know it yet.
local function keptFor(base, now, ttl)
  local first = call('XRANGE', base .. 'outbox', '-', '+', 'COUNT', 1)[1]
  if not first then return ttl end
  local t = call('TIME')
  local age = t[1] * 1000 - tonumber(string.match(first[1], '^%d+'))
  if age <= ttl / 2 then return ttl end
  return ttl + 2 * age
end

-- Hot history is bounded; the newest message is always in it. Answers the bytes, and whether something went.
local function trimHistory(h, bytes, countMax, bytesMax)
  local count, went = call('LLEN', h), false
  while count > 1 and (count > countMax or bytes > bytesMax) do
    local entry = call('LPOP', h)
    bytes = bytes - (#entry - string.find(entry, ' ', 1, true))
    count = count - 1
    went = true
  end
  return bytes, went
end

-- Use of a session: it, its history and the answers in it are kept for `ttl` from now on.
local function touch(base, sid, now, ttl)
  local s, h = base .. 's:' .. sid, base .. 'h:' .. sid
  local kept = keptFor(base, now, ttl)
  call('PEXPIRE', s, kept)
  if call('PEXPIRE', h, kept) == 0 then return end
  for _, entry in ipairs(call('LRANGE', h, 0, -1)) do
    local mid = string.match(entry, '^(%S+) ')
    call('PEXPIRE', base .. 'g:' .. mid, kept, 'GT')
  end
end

-- The top of a session, and of its active answer what the log needs.
local function topOf(base, q, mid)
  if mid == '' then return tonumber(q), nil end
  local g = call('HMGET', base .. 'g:' .. mid, 'st', 'n', 'um', 'mo', 'status', 'told', 'lid')
  return tonumber(g[1]) + tonumber(g[2]), g
end

-- All that is told of an answer, and (`hot`) its message as history has it.
local GEN = { 'sid', 't', 'u', 'um', 'mo', 'at', 'ep', 'st', 'n', 'status', 'rid', 'reg', 'out', 'er', 'told', 'tok', 'int', 'life', 'cl', 'bg' }
local function answerOf(base, mid)
  local f = call('HMGET', base .. 'g:' .. mid, unpack(GEN))
  if not f[1] then return nil end
  local g = {}
  for k, name in ipairs(GEN) do g[name] = f[k] end
  return g
end

local function described(base, mid, g)
  local message = ''
  local erased = g.er == '1'
  if g.out then
    local s = call('HMGET', base .. 's:' .. g.sid, 'e', 'x')
    if s[1] and s[2] ~= '0' then
      local e, ep = tonumber(s[1]), tonumber(g.ep)
      if ep < e or (ep == e and tonumber(g.st) < tonumber(s[2])) then erased = true end
    end
    if not erased then
      for _, entry in ipairs(call('LRANGE', base .. 'h:' .. g.sid, 0, -1)) do
        if string.sub(entry, 1, #mid + 1) == mid .. ' ' then message = string.sub(entry, #mid + 2) end
      end
    end
  end
  return { g.sid, g.t, g.u, g.um, g.mo, g.at, g.ep, g.st, g.n, g.out and 'finished' or g.status,
    g.rid or '', g.reg or '', g.out or '', erased and '1' or '0', message }
end

-- The first key of every script is its shard's outbox. A cluster is told of the others too, so that while a slot moves a
-- script runs with all of them or not at all.
local base = string.sub(KEYS[1], 1, -#'outbox' - 1)
