-- Parcels between the nodes of the test `actions`: level 1 sends, level 2 takes in, and what a
-- parcel is worth is shown to level 1 and to whoever stored it.
return {
  contract = "parcels", version = 1,
  tables = {
    depots = {
      key    = { "code" },
      fields = { code = text{max=8}, parcels = int64{min=0} },
      read   = { "anyone" },
      store  = { "level1" },
    },
    parcels = {
      key        = { "id" },
      fields     = { id = text{max=8}, depot = text{max=8}, worth = decimal{scale=2, min=0, max=1000},
                     state = one_of{"sent", "taken"} },
      index      = { {"state", "id"}, {"worth"} },
      references = { { fields = {"depot"}, table = "depots" } },
      check      = function(row) return row.state == "sent" or row.worth > decimal("0"), "worthless" end,
      read       = { "level1", "level2", "author" },
      hide       = { worth = { "level1", "author" } },
      store      = { "level1", "level3" },
    },
    logs = {
      key    = { "id" },
      fields = { id = text{max=8} },
      read   = { "hq" },
    },
  },
  actions = {
    take = {
      may = { "level2" }, params = { id = text{max=8} }, doc = "takes a parcel in",
      run = function(ctx, p)
        local parcel = ctx.get("parcels", p.id)
        ctx.require(parcel and parcel.state == "sent", "not_sent")
        local depot = ctx.get("depots", parcel.depot)
        ctx.store("parcels", { id = p.id, state = "taken" })
        ctx.store("depots", { code = depot.code, parcels = depot.parcels + 1 })
        ctx.emit("taken", { id = p.id, by = ctx.author.name })
      end,
    },
    stumble = {
      may = { "anyone" }, doc = "begins and fails",
      run = function(ctx)
        ctx.store("logs", { id = "left" })
        local nothing = nil
        ctx.store("logs", { id = nothing.id })
      end,
    },
  },
}
