-- Chunks without runs, of any number of answers, as their owner believes them to stand: nothing but comparisons and
-- writes. 1 where that is so; 0: nothing was done, `append.lua` says why. Runs without the prelude, for it is all the load.
-- A step: key of the answer, key of the log, channel, what its owner knows, next before, next after, message,
-- number of chunks, then id, field and text of each.
local call, out, i, last, o = redis.call, {}, 1, #ARGV, 1
local life = string.match(call('INFO', 'replication'), 'master_replid:(%x+)')
while i <= last do
  local g, n = ARGV[i], ARGV[i + 7]
  local f = call('HMGET', g, 'w', 'n', 'life')
  local isSo = f[1] == ARGV[i + 3] and f[2] == ARGV[i + 4] and f[3] == life
  if isSo then
    call('HSET', g, 'n', ARGV[i + 5])
    if n == '1' then
      call('XADD', ARGV[i + 1], ARGV[i + 8], ARGV[i + 9], ARGV[i + 10])
    else
      for k = i + 8, i + 5 + 3 * n, 3 do call('XADD', ARGV[i + 1], ARGV[k], ARGV[k + 1], ARGV[k + 2]) end
    end
    call('SPUBLISH', ARGV[i + 2], ARGV[i + 6])
    out[o] = 1
  else
    out[o] = 0
  end
  o = o + 1
  i = i + 8 + 3 * n
end
return out
