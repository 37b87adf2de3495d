-- A relay's hold on shards: token, lease in ms, how many more it wants at most, then each shard's base and whether it has
-- it. 1: it has it still, 2: it has it anew, 0: it has it not.
local token, lease, wanted, out = ARGV[1], ARGV[2], tonumber(ARGV[3]), {}
for k = 4, #ARGV, 2 do
  local key, isHeld = ARGV[k] .. 'relay', ARGV[k + 1] == '1'
  local holder = call('GET', key)
  local state = 0
  if holder == token then
    call('PEXPIRE', key, lease)
    state = 1
  elseif not holder and (isHeld or wanted > 0) then
    call('SET', key, token, 'PX', lease)
    if not isHeld then wanted = wanted - 1 end
    state = 2
  end
  out[#out + 1] = state
end
return out
