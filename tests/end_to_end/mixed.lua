-- Parcels of every kind of operation, for the test `mixed`.
local everyone = { "anyone" }
return {
  contract = "parcels", version = 1,
  tables = {
    depots = {
      key    = { "code" },
      fields = { code = text{max=8}, place = text{max=64} },
      read   = everyone, store = everyone, distribute = everyone,
    },
    parcels = {
      key        = { "id" },
      fields     = { id = text{max=16}, depot = text{max=8}, worth = decimal{scale=2, min=0} },
      index      = { {"depot", "worth"} },
      references = { { fields = {"depot"}, table = "depots" } },
      read       = everyone, store = everyone, delete = everyone, settles = true,
    },
  },
  actions = {
    book = {
      may = everyone, params = { id = text{max=16}, depot = text{max=8}, worth = decimal{scale=2, min=0} },
      doc = "takes a parcel in and settles what it is worth",
      run = function(ctx, p)
        local depot = ctx.require(ctx.get("depots", p.depot), "no_such_depot")
        ctx.require(not ctx.get("parcels", p.id), "booked_before")
        ctx.store("parcels", { id = p.id, depot = depot.code, worth = p.worth })
        ctx.settle{ from = ctx.author.node, to = "hq", amount = p.worth, currency = "CNY",
                    reference = depot.place, table = "parcels", key = p.id }
      end,
    },
    drop = {
      may = everyone, params = { id = text{max=16} }, doc = "takes a parcel away, if it is there",
      run = function(ctx, p)
        if ctx.get("parcels", p.id) then ctx.delete("parcels", p.id) end
      end,
    },
  },
}
