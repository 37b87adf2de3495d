-- How many relays live, this one with them: its token and for how long it counts, 0 when it goes.
local key, now = base .. 'relays', clock(0)
if ARGV[2] == '0' then
  call('ZREM', key, ARGV[1])
else
  call('ZADD', key, now + tonumber(ARGV[2]), ARGV[1])
  call('PEXPIRE', key, ARGV[2])
end
call('ZREMRANGEBYSCORE', key, '-inf', whole(now))
return call('ZCARD', key)
