local open = { new = true, accepted = true }
return { contract = "orders", version = 1,
  tables = { orders = { key = {"id"}, fields = { id = text{max=9}, amount = optional(decimal{scale=2}),
      state = optional(one_of{"new", "done"}), seal = optional(bytes{max=9}) }, index = { {"state"} },
      check = function(row) return row.id ~= "bad", "bad_id" end },
    years = { key = {"year", "month"}, fields = { year = int64, month = int64 } } },
  actions = { go = { may = {"anyone"}, params = { n = int64, s = text{max=9} }, run = function(ctx, p)
      ctx.store("orders", { id = p.s, amount = decimal("1.25") * p.n, state = "new", seal = "\xff" })
      for i = 1, p.n do ctx.store("years", { year = 2000 + i // 2, month = i }) end
      local o = ctx.require(ctx.get("orders", p.s), "none")
      for _, row in ipairs(ctx.range("years", 2000, {2001, 3}, { descending = true })) do ctx.delete("years", row.year, row.month) end
      ctx.settle{ from = ctx.author.node, to = "hq", amount = o.amount:div(3, 2, "half_even") }
      ctx.distribute("orders", "text", { tier = "level3" })
      ctx.emit("done", { list = { 1, none, "x" }, open = open[o.state], at = ctx.time, by = ctx.author.name })
      ctx.erase("orders", p.s, "asked for")
      return #ctx.find("orders", { state = "new" })
    end } },
  migrate = function(ctx) for _, row in ipairs(ctx.range("orders")) do ctx.store("orders", row) end end,
  tests = { ["it goes"] = function(t) t.as("a@hq", "level1") t.at(5) t.store("orders", { id = "a" })
    t.refused("too_deep", "go", { n = 1, s = "a" }) t.equal(t.get("orders", "a"), { id = "a" }) t.check(t.time() == 5) end } }
