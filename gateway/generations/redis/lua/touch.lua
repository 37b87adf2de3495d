-- Sessions that are watched are in use.
local now = clock(ARGV[1])
for k = 3, #ARGV, 2 do
  local own, sid = ARGV[k], ARGV[k + 1]
  if call('HGET', own .. 's:' .. sid, 'a') == '' then touch(own, sid, now, tonumber(ARGV[2])) end
end
