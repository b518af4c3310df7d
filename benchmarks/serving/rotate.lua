-- Sends the bodies of a file, one a line, in turn; prints what came of it as one line of JSON.
-- wrk -s rotate.lua URL -- FILE "name: value" …
local requests, place = {}, 0

function init(arguments)
  local headers = {}
  for index = 2, #arguments do
    local name, value = arguments[index]:match("^(.-): (.*)$")
    headers[name] = value
  end
  for name, value in pairs(wrk.headers) do headers[name] = value end
  for body in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("POST", nil, headers, body)
  end
end

function request()
  place = place % #requests + 1
  return requests[place]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "errors": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
