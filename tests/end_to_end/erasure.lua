-- What the test of erasure stores and erases.
return {
  contract = "people", version = 1,
  tables = {
    persons = {
      key = { "id" },
      fields = { id = text{max=16}, name = text{max=64}, note = optional(text{max=2000}) },
      index = { {"name"} },
      read = { "anyone" }, store = { "anyone" }, delete = { "anyone" }, erase = { "level1" },
    },
  },
  actions = {
    -- The note is told to those who follow, so it is in the receipt's events too.
    enter = { may = { "anyone" }, params = { id = text{max=16}, name = text{max=64} },
              run = function(ctx, p)
                ctx.store("persons", { id = p.id, name = p.name })
                ctx.emit("entered", { name = p.name })
              end },
    forget = { may = { "level1" }, params = { first = text{max=16}, second = text{max=16} },
               run = function(ctx, p)
                 ctx.erase("persons", p.first, "both of them asked")
                 ctx.erase("persons", p.second, "both of them asked")
               end },
  },
}
