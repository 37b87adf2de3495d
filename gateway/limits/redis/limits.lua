-- Limits of users over all nodes. A call has a key in KEYS and, from ARGV[4] on, three arguments: what, a, b.
--   r: a call of a rate, which costs `a` ms of a minute: 0, or the ms until it would be taken
--   t: `node` wants to hold `a` slots of at most `b` over all nodes: 1, or 0 and nothing has changed
--   s: `node` holds `a` slots
-- A rate is when its bucket will be full again. Slots are a hash: node -> how many, and until when that is believed.
local call, out, t = redis.call, {}, redis.call('TIME')
local now = t[1] * 1000 + t[2] / 1000 + ARGV[1]
local node, lease = ARGV[2], tonumber(ARGV[3])

local function hold(key, count)
  if count == 0 then return call('HDEL', key, node) end
  call('HSET', key, node, string.format('%d %.0f', count, now + lease))
  -- Each write is for one lease from now, so the last is the longest.
  call('PEXPIRE', key, lease)
end

for i, key in ipairs(KEYS) do
  local what, a, b = ARGV[3 * i + 1], tonumber(ARGV[3 * i + 2]), tonumber(ARGV[3 * i + 3])
  if what == 'r' then
    -- A clock that went back, as in a failover, must not make anybody wait for it.
    local full = math.min(tonumber(call('GET', key) or 0), now + 60000)
    local after = math.max(full, now) + a - now
    if after > 60000.5 then
      out[i] = math.ceil(after - 60000)
    else
      call('SET', key, string.format('%.3f', now + after), 'PX', math.ceil(after))
      out[i] = 0
    end
  elseif what == 't' then
    local others, held = 0, call('HGETALL', key)
    for k = 1, #held, 2 do
      if held[k] ~= node then
        local count, till = string.match(held[k + 1], '^(%d+) (%d+)$')
        if tonumber(till) > now then others = others + tonumber(count) else call('HDEL', key, held[k]) end
      end
    end
    if others + a > b then
      out[i] = 0
    else
      hold(key, a)
      out[i] = 1
    end
  else
    hold(key, a)
    out[i] = 1
  end
end
return out
