-- Only by who has it: a relay's token, then bases.
for k = 2, #ARGV do
  if call('GET', ARGV[k] .. 'relay') == ARGV[1] then call('DEL', ARGV[k] .. 'relay') end
end
return 1
