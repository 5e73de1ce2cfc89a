#!lua name=cryptotools_1
-- Publishes rows to the streams of one instrument, each row once, in order, or not at all.
--
-- ct_open_1: KEYS = meta hash. Takes over: returns a new generation; older ones are fenced off.
-- ct_pub_1:  KEYS = meta hash, stream...; ARGV = generation, then per stream: keep, rows as JSON.
--            A row is [seq, ms, [name, value, ...]]; all are strings, because JSON numbers would
--            become doubles. Returns added, already there, refused by their id: three counts per stream.
--
-- Scripts are not rolled back on an error, so all input is decoded before the first write, and the
-- high-water mark is moved up to the last row that went in.

-- Unsigned decimals as strings, exact at 64 bits.
local function greater(a, b)
  if #a ~= #b then return #a > #b end
  return a > b
end

local function open(keys, args)
  return redis.call('HINCRBY', keys[1], 'generation', 1)
end

local function append(meta, stream, keep, rows)
  local marks = redis.call('HMGET', meta, 'seq:' .. stream, 'ms:' .. stream)
  local high, ms = marks[1] or '', marks[2] or '0'
  local added, known, refused, failure = 0, 0, 0, nil
  for _, row in ipairs(rows) do
    if high ~= '' and not greater(row[1], high) then
      known = known + 1
    else
      -- Event time may step back; ids may not.
      if greater(row[2], ms) then ms = row[2] end
      local done = redis.pcall('XADD', stream, ms .. '-' .. row[1], unpack(row[3]))
      if type(done) == 'table' and done.err then
        if string.find(done.err, 'equal or smaller', 1, true) then
          refused = refused + 1
        else
          failure = done
          break
        end
      else
        added = added + 1
      end
      high = row[1]
    end
  end
  if added + refused > 0 then
    redis.call('HSET', meta, 'seq:' .. stream, high, 'ms:' .. stream, ms)
  end
  if added > 0 then redis.call('XTRIM', stream, 'MAXLEN', '~', keep) end
  return added, known, refused, failure
end

local function publish(keys, args)
  local batches = {}
  for n = 2, #keys do
    batches[n] = cjson.decode(args[2 * n - 1])
  end
  local current = redis.call('HGET', keys[1], 'generation')
  if current and greater(current, args[1]) then
    return redis.error_reply('FENCED a writer of generation ' .. current .. ' has taken over')
  end
  local counts = {}
  for n = 2, #keys do
    local added, known, refused, failure = append(keys[1], keys[n], args[2 * n - 2], batches[n])
    if failure then return failure end
    table.insert(counts, added)
    table.insert(counts, known)
    table.insert(counts, refused)
  end
  return counts
end

redis.register_function('ct_open_1', open)
redis.register_function('ct_pub_1', publish)
