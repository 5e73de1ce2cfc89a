#!lua name=cryptotools_feed_1
-- Merges the entries of many streams into one log, each once, in the order of its stream.
--
-- ctf_begin_1:  KEYS = positions; ARGV = per stream that there is: name, id of its newest entry.
--               Begins behind those, unless it has begun. Returns whether it did.
-- ctf_merge_1:  KEYS = log, positions; ARGV = entries to keep, then per stream: name, id behind
--               which was read, '1' if entries behind that id were gone, number of entries, and
--               per entry: id, body.
--               Returns the position of each stream afterwards. One below the id behind which was
--               read: nothing was taken, the caller must read from there.
-- ctf_forget_1: KEYS = log, positions; ARGV = name, position. The stream begins anew.
--
-- Several may merge at once: what is behind a position is taken, all else is dropped. A stream that
-- is in no position has not been read: it is read from its first entry.
-- The number in the names rises with every change of this file: old and new replicas may meet.

local BEGAN, ZERO = '~began', '0-0'

-- Unsigned decimals as strings, exact at 64 bits.
local function greater(a, b)
  if #a ~= #b then return #a > #b end
  return a > b
end

local function behind(a, b)
  local ams, aseq = string.match(a, '^(%d+)-(%d+)$')
  local bms, bseq = string.match(b, '^(%d+)-(%d+)$')
  if ams ~= bms then return greater(ams, bms) end
  return greater(aseq, bseq)
end

local function append(log, keep, ...)
  local done = redis.pcall('XADD', log, 'MAXLEN', '~', keep, '*', ...)
  return type(done) == 'table' and done.err and done or nil
end

local function begin(keys, args)
  if redis.call('HSETNX', keys[1], BEGAN, redis.call('TIME')[1]) == 0 then return 0 end
  for n = 1, #args, 2 do redis.call('HSET', keys[1], args[n], args[n + 1]) end
  return 1
end

-- Scripts are not rolled back on an error: the position is moved up to the last entry that went in.
local function merge(keys, args)
  local log, positions, keep = keys[1], keys[2], args[1]
  if redis.call('HEXISTS', positions, BEGAN) == 0 then
    return redis.error_reply('NOFEED it has not begun')
  end
  local reply, n = {}, 2
  while n <= #args do
    local name, since, lost, count = args[n], args[n + 1], args[n + 2], tonumber(args[n + 3])
    local before = redis.call('HGET', positions, name) or ZERO
    local at, failure = before, nil
    if not behind(since, before) then
      for i = n + 4, n + 2 + 2 * count, 2 do
        if behind(args[i], at) then
          if lost == '1' then failure = append(log, keep, 's', name, 'r', '1') end
          lost = '0'
          failure = failure or append(log, keep, 's', name, 'i', args[i], 'b', args[i + 1])
          if failure then break end
          at = args[i]
        end
      end
    end
    if at ~= before then redis.call('HSET', positions, name, at) end
    if failure then return failure end
    table.insert(reply, at)
    n = n + 4 + 2 * count
  end
  return reply
end

local function forget(keys, args)
  if redis.call('HGET', keys[2], args[1]) ~= args[2] then return 0 end
  redis.call('HDEL', keys[2], args[1])
  redis.call('XADD', keys[1], '*', 's', args[1], 'r', '1')
  return 1
end

redis.register_function('ctf_begin_1', begin)
redis.register_function('ctf_merge_1', merge)
redis.register_function('ctf_forget_1', forget)
