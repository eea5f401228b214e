-- Orders that platforms place and headquarters accepts.
return {
  contract = "orders", version = 1,
  tables = {
    orders = {
      key    = { "order_id" },
      fields = { order_id = text{max=32, min=1}, province = text{max=2},
                 amount = decimal{scale=2, min=0}, state = one_of{"new", "accepted", "done"} },
      index  = { {"province"}, {"state"} },
      read   = { "level1", "level2", "level3", "service" },
      store  = { "level1", "level2", "level3", "service" },
      delete = { "level1" },
    },
  },
}
