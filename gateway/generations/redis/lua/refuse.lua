-- The log will never take this entry: its id, and why. Moved once, by whichever relay comes first.
local entry = call('XRANGE', base .. 'outbox', ARGV[1], ARGV[1])[1]
if not entry then return 0 end
local fields, bytes = entry[2], 0
for k = 1, #fields, 2 do
  if fields[k] == 'v' then bytes = #fields[k + 1] end
end
call('XADD', base .. 'outbox:refused', '*', 'e', ARGV[2], unpack(fields))
call('XDEL', base .. 'outbox', ARGV[1])
counted(base, -1, -bytes)
return 1
