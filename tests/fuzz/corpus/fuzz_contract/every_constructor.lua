local short = text{max=32, min=1}
return {
  contract = "orders", version = 2, signed = true,
  tables = { orders = {
    key = { "region", "order_id" },
    fields = { order_id = short, region = int64{min=1, max=31}, amount = decimal{scale=2, min="-0.05"},
               state = one_of{"new", "done"}, paid = bool, seal = bytes{max=64, optional=true},
               remark = optional(text{max=500}) },
    index = { {"state"}, {"remark", "amount"} },
    read = { "level1", "hq", "importer@coop", "anyone" }, store = { "service" }, delete = {},
  } } }
