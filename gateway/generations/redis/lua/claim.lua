local now = clock(ARGV[1])
local mid, intent, token, lease, onlyLapsed, origin = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6], ARGV[7]
local g = answerOf(base, mid)
if not g then return { 'unknown' } end
if g.out then return { 'ended', g.out, '', described(base, mid, g) } end
if g.life ~= life() then return { 'epoch', g.sid } end
if g.tok == token and g.int then return { 'claimed', g.int, g.told, described(base, mid, g), 0 } end
local isOwned = tonumber(call('ZSCORE', base .. 'leases', mid) or 0) > now
if g.tok ~= token then
  if onlyLapsed == '1' and isOwned then return { 'alive' } end
  if g.int and isOwned and now - tonumber(g.cl) < 500 then return { 'wait' } end
end
intent = g.int or intent
call('HSET', base .. 'g:' .. mid, 'tok', token, 'int', intent, 'cl', whole(now))
call('HDEL', base .. 'g:' .. mid, 'w')
call('ZADD', base .. 'leases', now + lease, mid)
say(base, g.sid, origin .. '\0k\0' .. mid .. '\0' .. intent)
return { 'claimed', intent, g.told, described(base, mid, g), 1 }
