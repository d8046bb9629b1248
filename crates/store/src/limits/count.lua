-- Counts one against each key if all of them have room (generic cell rate algorithm; the formula is model's `limit`).
-- A key holds the theoretical arrival time in microseconds.
-- ARGV[1] is now; then for each key the time between two, and the arrival that the asking node knows of: what was
-- counted while this memory was away is not forgotten.
local now, minute, starts, room = tonumber(ARGV[1]), 60000000, {}, true
for i, key in ipairs(KEYS) do
  local interval, known = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local arrival = math.max(tonumber(redis.call('GET', key) or 0), known, now)
  starts[i] = math.min(arrival, now + minute)
  room = room and starts[i] + interval <= now + minute
end
local answer = { room and 1 or 0 }
for i, key in ipairs(KEYS) do
  answer[i + 1] = string.format('%.0f', starts[i])
  if room then
    local after = starts[i] + tonumber(ARGV[2 * i])
    redis.call('SET', key, string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
  end
end
return answer
