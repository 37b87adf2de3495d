-- What the log has taken: of each shard its base, a number of entries, then the id and bytes of each. What another relay
-- has taken out before is not subtracted again.
local k = 1
while k <= #ARGV do
  local own, count, events, bytes = ARGV[k], tonumber(ARGV[k + 1]), 0, 0
  for at = k + 2, k + 2 * count, 2 do
    if call('XDEL', own .. 'outbox', ARGV[at]) == 1 then
      events = events + 1
      bytes = bytes + ARGV[at + 1]
    end
  end
  counted(own, -events, -bytes)
  k = k + 2 + 2 * count
end
return 1
