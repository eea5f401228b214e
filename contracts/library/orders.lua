-- Orders through three levels. Level 1 starts an order, or changes one; level 2 processes it and
-- answers; level 3 receives it and answers. Every step is a row of `steps`, and goes to every
-- party at once. orders.md explains it.

local everyone = { "level1", "level2", "level3", "service" }
local day_s = 24 * 3600 -- by when a step should have reached everybody's systems
local order_id = text{max=32, min=1}
local note = text{max=400, min=1}
local state = one_of{"new", "processed", "rejected", "received", "done", "failed", "cancelled"}

-- What may follow on what.
local follows = {
  change   = { new = true, processed = true, rejected = true, received = true, failed = true },
  process  = { new = true },
  reject   = { new = true },
  receive  = { processed = true },
  answer   = { received = true },
  cancel   = { new = true, processed = true, rejected = true, failed = true },
}

-- Moves the order on, and lets everybody know.
local function step(ctx, order, action, new_state, said)
  local number = order.steps + 1
  ctx.store("orders", { order_id = order.order_id, state = new_state, steps = number })
  ctx.store("steps", { order_id = order.order_id, step = number, action = action, state = new_state,
                       node = ctx.author.node, account = ctx.author.account, note = said,
                       time_ms = ctx.time })
  ctx.distribute("orders", order.order_id, { tier = everyone, within_s = day_s })
end

-- The order, if `action` may follow on its state.
local function order_for(ctx, action, id)
  local order = ctx.get("orders", id)
  ctx.require(order, "no_such_order")
  ctx.require(follows[action][order.state], "wrong_state")
  return order
end

-- For the tests: a mesh of three levels. Headquarters acts next.
local function everybody(t)
  t.as("clerk@branch", "level3")
  t.as("clerk@platform", "level2")
  t.as("clerk@hq", "level1")
end

return {
  contract = "orders", version = 1,
  tables = {
    orders = {
      key    = { "order_id" },
      fields = { order_id = order_id, subject = text{max=200, min=1}, province = text{max=2, min=2},
                 quantity = optional(int64{min=1}), state = state, steps = int64{min=0},
                 started_by = text{max=64}, started_ms = int64{min=0} },
      index  = { {"state"}, {"province", "state"} },
      read   = everyone,
    },
    steps = {
      key    = { "order_id", "step" },
      fields = { order_id = order_id, step = int64{min=1},
                 action = one_of{"start", "change", "process", "reject", "receive", "answer", "cancel"},
                 state = state, node = text{max=64}, account = text{max=64}, note = optional(note),
                 time_ms = int64{min=0} },
      index  = { {"order_id"} },
      read   = everyone,
    },
  },
  actions = {
    start = {
      doc = "Level 1 starts an order.", may = { "level1" },
      params = { order_id = order_id, subject = text{max=200, min=1}, province = text{max=2, min=2},
                 quantity = optional(int64{min=1}), note = optional(note) },
      run = function(ctx, p)
        ctx.require(not ctx.get("orders", p.order_id), "order_exists")
        local order = { order_id = p.order_id, subject = p.subject, province = p.province,
                        quantity = p.quantity, state = "new", steps = 0,
                        started_by = ctx.author.node, started_ms = ctx.time }
        ctx.store("orders", order)
        step(ctx, order, "start", "new", p.note)
      end },
    change = {
      doc = "Level 1 changes an order: it begins anew.", may = { "level1" },
      params = { order_id = order_id, subject = optional(text{max=200, min=1}),
                 quantity = optional(int64{min=1}), note = note },
      run = function(ctx, p)
        local order = order_for(ctx, "change", p.order_id)
        ctx.store("orders", { order_id = p.order_id, subject = p.subject or order.subject,
                              quantity = p.quantity or order.quantity })
        step(ctx, order, "change", "new", p.note)
      end },
    process = {
      doc = "Level 2 has processed an order.", may = { "level2" },
      params = { order_id = order_id, note = note },
      run = function(ctx, p)
        step(ctx, order_for(ctx, "process", p.order_id), "process", "processed", p.note)
      end },
    reject = {
      doc = "Level 2 cannot process an order, and says why.", may = { "level2" },
      params = { order_id = order_id, note = note },
      run = function(ctx, p)
        step(ctx, order_for(ctx, "reject", p.order_id), "reject", "rejected", p.note)
      end },
    receive = {
      doc = "Level 3 has received an order.", may = { "level3" },
      params = { order_id = order_id, note = optional(note) },
      run = function(ctx, p)
        step(ctx, order_for(ctx, "receive", p.order_id), "receive", "received", p.note)
      end },
    answer = {
      doc = "Level 3 says what came of an order.", may = { "level3" },
      params = { order_id = order_id, result = one_of{"done", "failed"}, note = note },
      run = function(ctx, p)
        step(ctx, order_for(ctx, "answer", p.order_id), "answer", p.result, p.note)
      end },
    cancel = {
      doc = "Level 1 takes an order back.", may = { "level1" },
      params = { order_id = order_id, note = note },
      run = function(ctx, p)
        step(ctx, order_for(ctx, "cancel", p.order_id), "cancel", "cancelled", p.note)
      end },
  },
  tests = {
    ["an order goes through three levels, and everybody gets each step"] = function(t)
      everybody(t)
      t.run("start", { order_id = "A-1", subject = "200 SIM cards", province = "37", quantity = 200 })
      t.equal(t.get("orders", "A-1").state, "new")
      t.as("clerk@platform")
      t.run("process", { order_id = "A-1", note = "packed" })
      t.as("clerk@branch")
      t.run("receive", { order_id = "A-1" })
      t.run("answer", { order_id = "A-1", result = "done", note = "handed out" })
      local order = t.get("orders", "A-1")
      t.equal(order.state, "done")
      t.equal(order.started_by, "hq")
      local steps = t.find("steps", { order_id = "A-1" })
      t.equal(#steps, 4)
      t.equal(steps[2].note, "packed")
      t.equal(steps[4].account, "clerk")
      for _, node in ipairs({ "hq", "platform", "branch" }) do
        local inbox = t.find("distribution.deliveries", { node = node })
        t.equal(#inbox, 4, node)
        t.equal(inbox[4].state, "pending")
        t.equal(inbox[3].state, "superseded") -- the newest step holds what matters
      end
    end,
    ["nobody takes a step that is another level's"] = function(t)
      everybody(t)
      t.run("start", { order_id = "A-1", subject = "cards", province = "37" })
      t.refused("forbidden", "process", { order_id = "A-1", note = "by level 1" })
      t.as("clerk@platform")
      t.refused("forbidden", "start", { order_id = "A-2", subject = "cards", province = "37" })
      t.refused("forbidden", "receive", { order_id = "A-1" })
      t.equal(t.get("orders", "A-1").state, "new")
    end,
    ["a step comes only after the one before it"] = function(t)
      everybody(t)
      t.run("start", { order_id = "A-1", subject = "cards", province = "37" })
      t.refused("order_exists", "start", { order_id = "A-1", subject = "cards", province = "37" })
      t.refused("no_such_order", "cancel", { order_id = "A-2", note = "?" })
      t.as("clerk@branch")
      t.refused("wrong_state", "receive", { order_id = "A-1" })
      t.as("clerk@platform")
      t.run("process", { order_id = "A-1", note = "packed" })
      t.refused("wrong_state", "process", { order_id = "A-1", note = "again" })
      t.as("clerk@branch")
      t.refused("wrong_state", "answer", { order_id = "A-1", result = "done", note = "?" })
    end,
    ["an order that is changed begins anew"] = function(t)
      everybody(t)
      t.run("start", { order_id = "A-1", subject = "cards", province = "37", quantity = 200 })
      t.as("clerk@platform")
      t.run("reject", { order_id = "A-1", note = "only 100 in stock" })
      t.as("clerk@hq")
      t.run("change", { order_id = "A-1", quantity = 100, note = "half of it" })
      local order = t.get("orders", "A-1")
      t.equal(order.state, "new")
      t.equal(order.quantity, 100)
      t.equal(order.subject, "cards")
    end,
    ["what is received can be changed but not cancelled, and what is done stays"] = function(t)
      everybody(t)
      t.run("start", { order_id = "A-1", subject = "cards", province = "37" })
      t.as("clerk@platform")
      t.run("process", { order_id = "A-1", note = "packed" })
      t.as("clerk@branch")
      t.run("receive", { order_id = "A-1" })
      t.as("clerk@hq")
      t.refused("wrong_state", "cancel", { order_id = "A-1", note = "too late" })
      t.as("clerk@branch")
      t.run("answer", { order_id = "A-1", result = "done", note = "handed out" })
      t.as("clerk@hq")
      t.refused("wrong_state", "change", { order_id = "A-1", note = "too late" })
      t.refused("wrong_state", "cancel", { order_id = "A-1", note = "too late" })
    end,
  },
}
