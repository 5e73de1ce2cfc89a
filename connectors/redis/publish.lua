#!lua name=cryptotools_3
-- Publishes rows to the streams of one instrument, each row once, in order, or not at all.
--
-- ct_open_3: KEYS = meta hash. Takes over: returns a new generation; older ones are fenced off.
-- ct_pub_3:  KEYS = meta hash, stream...; ARGV = generation, then per stream: entries to keep,
--            milliseconds to keep ('' = for ever), rows as JSON.
--            A row is [seq, ms, [name, value, ...]] or [..., lane]; seq, ms and values are strings,
--            because JSON numbers would become doubles (true, false and null become 1, 0 and '').
--            Numbers rise within a lane: a stream that several parts of a flow write to has one for
--            each.
--            Returns three counts per stream: added, already there, refused by their id.
--
-- Scripts are not rolled back on an error, so all input is checked before the first write, and the
-- high-water mark is moved up to the last row that went in.
-- The number in the names rises with every change of this file: old and new writers may meet.

local MAX_ID = '18446744073709551615'
local MAX_AHEAD_MS = 60000

-- Unsigned decimals as strings, exact at 64 bits.
local function greater(a, b)
  if #a ~= #b then return #a > #b end
  return a > b
end

local function is_id(text)
  if type(text) ~= 'string' or not string.find(text, '^%d+$') then return false end
  if #text > 1 and string.sub(text, 1, 1) == '0' then return false end
  return not greater(text, MAX_ID)
end

local function is_text(value)
  return type(value) == 'string'
end

local function as_text(value)
  if type(value) == 'boolean' then return value and '1' or '0' end
  if value == cjson.null then return '' end
  return value
end

-- Returns what is wrong with a row, or nothing; makes all its values texts.
local function fault(row)
  if type(row) ~= 'table' then return 'is no list' end
  if not is_id(row[1]) then return 'has no decimal seq' end
  if not is_id(row[2]) then return 'has no decimal ms' end
  if row[4] ~= nil and not is_text(row[4]) then return 'has a lane that is no text' end
  local fields = row[3]
  if type(fields) ~= 'table' or #fields == 0 or #fields % 2 == 1 then
    return 'has no pairs of fields'
  end
  for n = 1, #fields do
    if not is_text(fields[n]) then
      fields[n] = as_text(fields[n])
      if not is_text(fields[n]) then return 'has a value that is no text' end
    end
  end
end

local function decode(text, stream)
  local rows = cjson.decode(text)
  for n, row in ipairs(rows) do
    local why = fault(row)
    if why then
      return nil, redis.error_reply('BADROW row ' .. n .. ' of ' .. stream .. ' ' .. why)
    end
  end
  return rows
end

-- One time stamp far in the future would pin every later id, and a trim by time would drop all.
local function newest_ms()
  return string.format('%.0f', tonumber(redis.call('TIME')[1]) * 1000 + MAX_AHEAD_MS)
end

local function trim(stream, keep, retention, ms)
  redis.call('XTRIM', stream, 'MAXLEN', '~', keep)
  if retention == '' then return end
  local oldest = tonumber(ms) - tonumber(retention)
  if oldest > 0 then redis.call('XTRIM', stream, 'MINID', '~', string.format('%.0f', oldest)) end
end

local function mark_of(stream, lane)
  return 'seq:' .. stream .. (lane == '' and '' or '/' .. lane)
end

local function append(meta, stream, rows, limit)
  local marks = redis.call('HMGET', meta, 'ms:' .. stream, 'last:' .. stream, 'seq:' .. stream)
  -- From 1 on: the id 0-0 is reserved.
  local ms, last = marks[1] or '1', marks[2] or marks[3] or ''
  local highs, added, known, refused, failure = {}, 0, 0, 0, nil
  for _, row in ipairs(rows) do
    local seq, at, mark = row[1], row[2], mark_of(stream, row[4] or '')
    local high = highs[mark] or redis.call('HGET', meta, mark) or ''
    if high ~= '' and not greater(seq, high) then
      known = known + 1
    else
      -- Event time may step back; ids may not.
      if greater(at, limit) then at = limit end
      if greater(at, ms) then
        ms = at
      elseif last ~= '' and not greater(seq, last) then
        ms = string.format('%.0f', tonumber(ms) + 1)  -- another lane is ahead
      end
      local done = redis.pcall('XADD', stream, ms .. '-' .. seq, unpack(row[3]))
      if type(done) == 'table' and done.err then
        if not string.find(done.err, 'equal or smaller', 1, true) then
          failure = done
          break
        end
        refused = refused + 1
      else
        added = added + 1
      end
      highs[mark], last = seq, seq
    end
  end
  if added + refused > 0 then
    redis.call('HSET', meta, 'ms:' .. stream, ms, 'last:' .. stream, last)
    for mark, high in pairs(highs) do redis.call('HSET', meta, mark, high) end
  end
  return { added, known, refused }, ms, failure
end

-- Returns an error if a later writer has taken over.
local function enter(meta, generation)
  local current = redis.call('HGET', meta, 'generation')
  if current and greater(current, generation) then
    return redis.error_reply('FENCED a writer of generation ' .. current .. ' has taken over')
  end
  -- A server that came back with older data: whoever takes over next must get a higher one.
  if current ~= generation then redis.call('HSET', meta, 'generation', generation) end
end

local function publish(keys, args)
  if not is_id(args[1]) then return redis.error_reply('BADROW no generation') end
  local batches = {}
  for n = 2, #keys do
    local rows, failure = decode(args[3 * n - 2], keys[n])
    if failure then return failure end
    batches[n] = rows
  end
  local fenced = enter(keys[1], args[1])
  if fenced then return fenced end
  local limit, replies = newest_ms(), {}
  for n = 2, #keys do
    local counts, ms, failure = append(keys[1], keys[n], batches[n], limit)
    if failure then return failure end
    if counts[1] > 0 then trim(keys[n], args[3 * n - 4], args[3 * n - 3], ms) end
    for _, count in ipairs(counts) do table.insert(replies, count) end
  end
  return replies
end

local function open(keys, args)
  return redis.call('HINCRBY', keys[1], 'generation', 1)
end

redis.register_function('ct_open_3', open)
redis.register_function('ct_pub_3', publish)
