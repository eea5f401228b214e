-- What the test of deliveries distributes.
return {
  contract = "notices", version = 1,
  tables = {
    notices = {
      key = { "id" },
      fields = { id = text{max=16}, words = text{max=64} },
      read = { "anyone" }, store = { "anyone" }, distribute = { "anyone" },
    },
  },
}
