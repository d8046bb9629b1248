-- Writes ARGV[2] for ARGV[3] milliseconds if the key still holds ARGV[1] (empty: nothing), else answers what it holds.
local there = redis.call('GET', KEYS[1]) or ''
if there ~= ARGV[1] then return there end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return false
