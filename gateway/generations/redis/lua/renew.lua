local now, out = clock(ARGV[1]), {}
for k = 2, #ARGV, 4 do
  local own, mid = ARGV[k], ARGV[k + 1]
  local g = call('HMGET', own .. 'g:' .. mid, 'tok', 'out')
  local isOwned = g[1] == ARGV[k + 2] and not g[2]
  if isOwned then call('ZADD', own .. 'leases', now + tonumber(ARGV[k + 3]), mid) end
  -- 2: nothing is known of it; its owner may begin it again.
  out[#out + 1] = isOwned and 1 or g[1] and 0 or 2
end
return out
