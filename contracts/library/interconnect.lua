-- Interconnect settlement between provinces: usage records, tariffs, and what follows from both.
-- interconnect.md explains it.

local everyone = { "level1", "level2", "level3", "service" }
local province = text{max=2, min=2}
local service = one_of{"voice", "message", "data"}
local day = text{max=10, min=10}  -- 2026-11-24
local month = text{max=7, min=7}  -- 2026-11: also the name of its settlement period
local record_id = text{max=32, min=1}
local most_at_once = 200
local usage_record = { record_id = record_id, day = day, from_province = province, to_province = province,
                       service = service, quantity = int64{min=1, max=1000000000} }

-- The tariff in force on that day: the latest one that began by then; nil if there is none.
local function tariff_on(ctx, of, when)
  local found
  for _, each in ipairs(ctx.find("tariffs", { service = of })) do
    if each.from_day <= when then found = each end
  end
  return found
end

local function company_of(ctx, code)
  local company = ctx.get("companies", code)
  ctx.require(company, "no_company")
  return company
end

-- Takes a record in; a settled one refuses to change. One that was settled and is disputed now
-- waits for `rate` as a correction.
local function keep(ctx, p)
  company_of(ctx, p.from_province)
  company_of(ctx, p.to_province)
  ctx.require(p.from_province ~= p.to_province, "same_province")
  ctx.require(p.day:find("^%d%d%d%d%-%d%d%-%d%d$"), "bad_day")
  local before = ctx.get("usage", p.record_id)
  local again = before and (before.state == "settled" or before.state == "corrected")
  ctx.store("usage", { record_id = p.record_id, day = p.day, month = p.day:sub(1, 7),
                       from_province = p.from_province, to_province = p.to_province,
                       service = p.service, quantity = p.quantity, problem = none,
                       state = again and "corrected" or "reported" })
end

-- What a record comes to: who sent the traffic owes it to who carried it to its end. Or nil, and
-- why that cannot be said.
local function price_of(ctx, record)
  local payer = ctx.get("companies", record.from_province)
  local payee = ctx.get("companies", record.to_province)
  if not payer or not payee then return nil, "no_company" end
  local tariff = tariff_on(ctx, record.service, record.day)
  if not tariff then return nil, "no_tariff" end
  local amount = (record.quantity * tariff.price):round(2, "half_up")
  return { amount = amount, payer = payer.node, payee = payee.node,
           own = payer.node == payee.node or amount <= decimal("0.00", 2) }
end

-- Settles a priced record in its month.
local function settle(ctx, record, price)
  ctx.store("usage", { record_id = record.record_id, amount = price.amount, payer = price.payer,
                       payee = price.payee, problem = none,
                       state = price.own and "internal" or "settled" })
  if price.own then return end
  ctx.settle{ from = price.payer, to = price.payee, amount = price.amount, currency = "CNY",
              period = record.month,
              reference = record.service .. " " .. record.from_province .. " to " .. record.to_province,
              table = "usage", key = record.record_id }
end

-- Why the settlement would refuse it; nil if it would not.
local function obstacle(ctx, price, period, currency)
  if price.own then return nil end
  if not period or period.state ~= "open" then return "no_open_period" end
  if not currency then return "no_currency" end
  local account = ctx.get("settlement.accounts", "CNY", price.payer)
  local limit = account and account.limit or currency.limit
  local means = account and account.balance - account.held or decimal("0", 4)
  if means + limit < price.amount then return "limit_exceeded" end
end

-- So that it does not hold up those behind it.
local function set_aside(ctx, record_id, problem)
  ctx.store("usage", { record_id = record_id, state = "set_aside", problem = problem })
end

local function may_be_rated(record)
  return record.state == "reported" or record.state == "corrected" or record.state == "set_aside"
end

-- For the tests: November is open; Beijing and Tianjin are hq's, Shandong is coop's.
local function november(t)
  t.as("clerk@coop", "level2")
  t.as("clerk@hq", "level1")
  t.call("settlement", "define_currency", { currency = "CNY", decimals = 2, limit = 1000 })
  t.call("settlement", "open_period", { period = "2026-11" })
  t.store("companies", { province = "11", name = "Beijing", node = "hq" })
  t.store("companies", { province = "12", name = "Tianjin", node = "hq" })
  t.store("companies", { province = "37", name = "Shandong", node = "coop" })
  t.store("tariffs", { service = "voice", from_day = "2026-01-01", unit = "minute",
                       price = "0.0600" })
  t.store("tariffs", { service = "voice", from_day = "2026-11-15", unit = "minute",
                       price = "0.0550" })
end

local function record(x)
  return { record_id = x.record_id, day = x.day or "2026-11-05",
           from_province = x.from_province or "11", to_province = x.to_province or "37",
           service = x.service or "voice", quantity = x.quantity or 1000 }
end

local function balance(t, node) return t.get("settlement.accounts", "CNY", node).balance end

return {
  contract = "interconnect", version = 1,
  tables = {
    companies = { -- which node answers for a province
      key    = { "province" },
      fields = { province = province, name = text{max=64, min=1}, node = text{max=64, min=1} },
      read   = everyone, store = { "level1" },
    },
    tariffs = {
      key    = { "service", "from_day" },
      fields = { service = service, from_day = day, unit = text{max=16},
                 price = decimal{scale=4, min=0, max=100000} },
      read   = everyone, store = { "level1" },
    },
    usage = {
      key    = { "record_id" },
      fields = { record_id = record_id, day = day, month = month, from_province = province,
                 to_province = province, service = service,
                 quantity = int64{min=1, max=1000000000},
                 state = one_of{"reported", "settled", "internal", "corrected", "set_aside"},
                 problem = optional(text{max=64}), -- why it was set aside
                 amount = optional(decimal{scale=2, min=0}),
                 payer = optional(text{max=64}), payee = optional(text{max=64}) },
      index  = { {"state", "month"}, {"from_province", "to_province"} },
      read   = everyone, settles = true,
    },
  },
  actions = {
    report = {
      doc = "The carrier reports a usage record, or corrects one that is not settled or is disputed.",
      may = everyone, params = usage_record,
      run = function(ctx, p)
        ctx.require(ctx.author.node == company_of(ctx, p.to_province).node, "not_the_carrier")
        local before = ctx.get("usage", p.record_id)
        ctx.require(not before or ctx.author.node == company_of(ctx, before.to_province).node,
                    "not_the_carrier")
        keep(ctx, p)
      end },
    collect = {
      doc = "Level 1 enters a usage record for the carrier that it was collected from.",
      may = { "level1" }, params = usage_record, run = keep },
    rate = {
      doc = "Prices and settles one record: also one that was set aside, or a correction.",
      may = everyone, params = { record_id = record_id },
      run = function(ctx, p)
        local record = ctx.require(ctx.get("usage", p.record_id), "no_such_record")
        ctx.require(may_be_rated(record), "not_reported")
        local price, problem = price_of(ctx, record)
        if not price then ctx.require(false, problem) end
        settle(ctx, record, price)
      end },
    rate_next = {
      doc = "Prices and settles records of a month that wait for it. One that cannot be is set aside, with why.",
      may = everyone,
      params = { month = month, count = int64{min=1, max=most_at_once} },
      run = function(ctx, p)
        local period = ctx.get("settlement.periods", p.month)
        local currency = ctx.get("settlement.currencies", "CNY")
        local waiting = ctx.find("usage", { state = "reported", month = p.month }, { limit = p.count })
        for _, record in ipairs(waiting) do
          local price, problem = price_of(ctx, record)
          problem = problem or obstacle(ctx, price, period, currency)
          if problem then set_aside(ctx, record.record_id, problem) else settle(ctx, record, price) end
        end
        return #waiting
      end },
    set_aside = {
      doc = "Level 1 sets a record aside that holds up the others.",
      may = { "level1" }, params = { record_id = record_id, problem = text{max=64, min=1} },
      run = function(ctx, p)
        local record = ctx.require(ctx.get("usage", p.record_id), "no_such_record")
        ctx.require(record.state == "reported", "not_reported")
        set_aside(ctx, p.record_id, p.problem)
      end },
    take_up = {
      doc = "Records of a month that were set aside wait for rate_next again: their problem is solved.",
      may = everyone, params = { month = month, count = int64{min=1, max=most_at_once} },
      run = function(ctx, p)
        local aside = ctx.find("usage", { state = "set_aside", month = p.month }, { limit = p.count })
        for _, record in ipairs(aside) do
          ctx.store("usage", { record_id = record.record_id, state = "reported", problem = none })
        end
        return #aside
      end },
  },
  tests = {
    ["a record is priced by its day and settled in its month"] = function(t)
      november(t)
      t.run("collect", record{ record_id = "U1", day = "2026-11-14" })
      t.run("collect", record{ record_id = "U2", day = "2026-11-15" })
      t.run("rate", { record_id = "U1" })
      t.run("rate", { record_id = "U2" })
      t.equal(t.get("usage", "U1").amount, decimal("60.00", 2))
      t.equal(t.get("usage", "U2").amount, decimal("55.00", 2))
      t.equal(t.get("usage", "U2").state, "settled")
      t.equal(balance(t, "hq"), decimal("-115", 4))
      t.equal(balance(t, "coop"), decimal("115", 4))
      t.equal(t.get("settlement.entries", "CNY", "hq", 1).period, "2026-11")
    end,
    ["half a cent is rounded up"] = function(t)
      november(t)
      t.run("collect", record{ record_id = "U1", day = "2026-11-20", quantity = 1 })
      t.run("rate", { record_id = "U1" })
      t.equal(t.get("usage", "U1").amount, decimal("0.06", 2))
    end,
    ["between two provinces of one node nothing is owed"] = function(t)
      november(t)
      t.run("collect", record{ record_id = "U1", to_province = "12" })
      t.run("rate", { record_id = "U1" })
      t.equal(t.get("usage", "U1").state, "internal")
      t.equal(t.get("settlement.accounts", "CNY", "hq"), nil)
    end,
    ["a settled record neither changes nor is rated twice"] = function(t)
      november(t)
      t.run("collect", record{ record_id = "U1" })
      t.run("collect", record{ record_id = "U1", quantity = 500 }) -- not settled yet
      t.run("rate", { record_id = "U1" })
      t.refused("settled", "collect", record{ record_id = "U1", quantity = 501 })
      t.refused("not_reported", "rate", { record_id = "U1" })
      t.equal(balance(t, "hq"), decimal("-30", 4))
    end,
    ["a disputed record is reported and settled anew, and no other"] = function(t)
      november(t)
      t.run("collect", record{ record_id = "U1" })
      t.run("collect", record{ record_id = "U2" })
      t.run("rate", { record_id = "U1" })
      t.run("rate", { record_id = "U2" })
      t.call("settlement", "dispute", { payer = "hq", number = 1, reason = "never connected" })
      t.refused("settled", "collect", record{ record_id = "U2", quantity = 1 })
      t.run("collect", record{ record_id = "U1", quantity = 100 })
      t.run("rate", { record_id = "U1" })
      t.equal(balance(t, "hq"), decimal("-66", 4))
      t.equal(t.get("settlement.entries", "CNY", "hq", 1).state, "replaced")
      t.equal(t.get("settlement.entries", "CNY", "hq", 3).corrects, 1)
    end,
    ["only the carrier reports, and level 1 for it"] = function(t)
      november(t)
      t.refused("not_the_carrier", "report", record{ record_id = "U1" })
      t.as("clerk@coop")
      t.refused("forbidden", "collect", record{ record_id = "U1" })
      t.run("report", record{ record_id = "U1" })
      t.as("clerk@hq") -- as its own carrier, over another's record
      t.refused("not_the_carrier", "report", record{ record_id = "U1", from_province = "37", to_province = "11" })
    end,
    ["what cannot be priced is refused"] = function(t)
      november(t)
      t.refused("no_company", "collect", record{ record_id = "U1", to_province = "99" })
      t.refused("same_province", "collect", record{ record_id = "U1", to_province = "11" })
      t.refused("bad_day", "collect", record{ record_id = "U1", day = "05.11.2026" })
      t.run("collect", record{ record_id = "U1", service = "data" })
      t.refused("no_tariff", "rate", { record_id = "U1" })
      t.run("collect", record{ record_id = "U2", day = "2025-12-31" })
      t.refused("no_tariff", "rate", { record_id = "U2" })
      t.run("collect", record{ record_id = "U3", day = "2026-12-01" })
      t.refused("period", "rate", { record_id = "U3" }) -- nobody has opened December
      t.refused("no_such_record", "rate", { record_id = "U4" })
    end,
    ["a record that cannot be settled is set aside and holds up no other"] = function(t)
      november(t)
      t.run("collect", record{ record_id = "A no tariff", service = "data" })
      t.run("collect", record{ record_id = "B too much", quantity = 1000000 })
      t.run("collect", record{ record_id = "C good" })
      t.equal(t.run("rate_next", { month = "2026-11", count = 10 }), 3)
      t.equal(t.get("usage", "A no tariff").problem, "no_tariff")
      t.equal(t.get("usage", "B too much").problem, "limit_exceeded")
      t.equal(t.get("usage", "C good").state, "settled")
      t.equal(t.run("rate_next", { month = "2026-11", count = 10 }), 0)
      t.store("tariffs", { service = "data", from_day = "2026-01-01", unit = "MB", price = "0.01" })
      t.call("settlement", "set_limit", { node = "hq", limit = 100000 })
      t.equal(t.run("take_up", { month = "2026-11", count = 10 }), 2)
      t.equal(t.run("rate_next", { month = "2026-11", count = 10 }), 2)
      t.equal(t.get("usage", "A no tariff").state, "settled")
      t.equal(t.get("usage", "B too much").problem, nil)
    end,
    ["in a month that is not open everything is set aside"] = function(t)
      november(t)
      t.run("collect", record{ record_id = "U1", day = "2026-12-01" })
      t.run("collect", record{ record_id = "U2", day = "2026-12-01", to_province = "12" })
      t.run("rate_next", { month = "2026-12", count = 10 })
      t.equal(t.get("usage", "U1").problem, "no_open_period")
      t.equal(t.get("usage", "U2").state, "internal") -- nothing is owed for it
      t.call("settlement", "open_period", { period = "2026-12" })
      t.run("rate", { record_id = "U1" })
      t.equal(t.get("usage", "U1").state, "settled")
    end,
    ["level 1 sets aside what else goes wrong"] = function(t)
      november(t)
      t.store("companies", { province = "44", name = "Guangdong", node = "hk" }) -- no such node
      t.run("collect", record{ record_id = "U1", to_province = "44" })
      t.run("collect", record{ record_id = "U2" })
      t.refused("hk", "rate_next", { month = "2026-11", count = 10 })
      t.run("set_aside", { record_id = "U1", problem = "wrong node" })
      t.equal(t.run("rate_next", { month = "2026-11", count = 10 }), 1)
      t.as("clerk@coop")
      t.refused("forbidden", "set_aside", { record_id = "U1", problem = "mine" })
    end,
    ["a correction waits for rate, also in a closed month"] = function(t)
      november(t)
      t.run("collect", record{ record_id = "U1" })
      t.run("rate", { record_id = "U1" })
      t.call("settlement", "close_period", { period = "2026-11" })
      t.call("settlement", "dispute", { payer = "hq", number = 1, reason = "never connected" })
      t.run("collect", record{ record_id = "U1", quantity = 100 })
      t.equal(t.run("rate_next", { month = "2026-11", count = 10 }), 0)
      t.run("rate", { record_id = "U1" })
      t.equal(t.get("usage", "U1").state, "settled")
      t.equal(balance(t, "hq"), decimal("-6", 4))
    end,
    ["a month is rated, closed and netted into few payments"] = function(t)
      november(t)
      for i = 1, 3 do
        t.run("collect", record{ record_id = "to coop " .. i })
        t.run("collect", record{ record_id = "to hq " .. i, from_province = "37",
                                 to_province = "11", quantity = 100 * i })
      end
      t.equal(t.run("rate_next", { month = "2026-11", count = 4 }), 4)
      t.equal(t.run("rate_next", { month = "2026-11", count = 4 }), 2)
      t.call("settlement", "close_period", { period = "2026-11" })
      local payments = t.find("settlement.payments", { period = "2026-11", currency = "CNY" })
      t.equal(#payments, 1)
      t.equal(payments[1].from, "hq")
      t.equal(payments[1].due, decimal("144", 4)) -- 3 x 60 - (6 + 12 + 18)
    end,
  },
}
