local mid = ARGV[1]
local g = answerOf(base, mid)
if not g then return { 'absent' } end
if not g.out and g.life ~= life() then return { 'epoch', g.sid } end
return { 'found', described(base, mid, g) }
