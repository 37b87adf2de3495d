local now, out = clock(ARGV[1]), {}
for k = 2, #ARGV do
  for _, mid in ipairs(call('ZRANGE', ARGV[k] .. 'leases', '-inf', whole(now), 'BYSCORE', 'LIMIT', 0, 100)) do out[#out + 1] = mid end
end
return out
