-- Sends prepared requests: `wrk -s wrk.lua … URL -- FOLDER repeat|once`; see wrk.py, which writes the folder.
-- FOLDER/N holds those of thread N, each as its length in eight digits and its bytes; FOLDER/body follows every request.
-- With `once` a thread that has sent all of its requests stops.

local ffi = require("ffi")
ffi.cdef([[
typedef struct { long s; long ns; } bench_time;
int clock_gettime(int clock, bench_time *time);
]])

local LENGTH_DIGITS = 8
local CLOCK_MONOTONIC = 1
local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

local moment = ffi.new("bench_time")

local function now_s()
  ffi.C.clock_gettime(CLOCK_MONOTONIC, moment)
  return tonumber(moment.s) + tonumber(moment.ns) / 1e9
end

local function read_all(path)
  local file = assert(io.open(path, "rb"))
  local content = file:read("*a")
  file:close()
  return content
end

local source, body, repeats
local loaded = {}
local last

-- The next request of the file, or nil behind the last one.
local function read_next()
  local length = source:read(LENGTH_DIGITS)
  return length and source:read(tonumber(length)) .. body
end

function init(args)
  folder, repeats = args[1], args[2] == "repeat"
  body = read_all(folder .. "/body")
  source = assert(io.open(folder .. "/" .. number, "rb"))
  sent, ran_out, began_s, ended_s = 0, false, 0, 0
  if repeats then
    for each in read_next do table.insert(loaded, each) end
  end
end

-- wrk calls this once more before it begins, in the first thread, to see whether it gets HTTP.
function request()
  if repeats then
    sent = sent + 1
    return loaded[(sent - 1) % #loaded + 1]
  end
  local following = read_next()
  if began_s == 0 then began_s = now_s() end
  if following then
    sent, last = sent + 1, following
    return following
  end
  if not ran_out then ended_s, ran_out = now_s(), true end
  wrk.thread:stop()
  return last -- wrk wants one still; its answer is not waited for
end

-- Percentiles are microseconds; duration too.
function done(summary, latency, requests)
  local counts, elapsed_s, all_out = {}, 0, true
  for _, thread in ipairs(threads) do
    table.insert(counts, thread:get("sent"))
    all_out = all_out and thread:get("ran_out")
    elapsed_s = math.max(elapsed_s, thread:get("ended_s") - thread:get("began_s"))
  end
  local errors = summary.errors
  local file = assert(io.open(threads[1]:get("folder") .. "/summary.json", "w"))
  file:write(string.format(
    '{"requests": %d, "bytes": %.0f, "elapsed_s": %.6f, "ran_out": %s, "p50_us": %.0f, "p95_us": %.0f, "p99_us": %.0f,' ..
    ' "connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d, "counts": [%s]}\n',
    summary.requests, summary.bytes, all_out and elapsed_s or summary.duration / 1e6, tostring(all_out),
    latency:percentile(50), latency:percentile(95), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.status, errors.timeout, table.concat(counts, ", ")))
  file:close()
end
