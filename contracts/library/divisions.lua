-- Administrative divisions of China (GB/T 2260), from province down to village. The fields carry
-- the names of the columns of the published CSV files, so that `tally store` can load these as
-- they are. A code is a text: it names a place, nobody adds it up.

local everyone = { "level1", "level2", "level3", "service" }
local name = text{max=64, min=1}
local province_code = text{max=2, min=2}
local city_code = text{max=4, min=4}
local area_code = text{max=6, min=6}
local street_code = text{max=9, min=9}

return {
  contract = "divisions", version = 1,
  tables = {
    provinces = {
      key    = { "code" },
      fields = { code = province_code, name = name },
      read = everyone, store = everyone, delete = everyone,
    },
    cities = {
      key    = { "code" },
      fields = { code = city_code, name = name, provinceCode = province_code },
      index  = { {"provinceCode"} },
      read = everyone, store = everyone, delete = everyone,
    },
    areas = {
      key    = { "code" },
      fields = { code = area_code, name = name, cityCode = city_code, provinceCode = province_code },
      index  = { {"provinceCode"}, {"cityCode"} },
      read = everyone, store = everyone, delete = everyone,
    },
    streets = {
      key    = { "code" },
      fields = { code = street_code, name = name, areaCode = area_code, cityCode = city_code,
                 provinceCode = province_code },
      index  = { {"provinceCode"} },
      read = everyone, store = everyone, delete = everyone,
    },
    villages = {
      key    = { "code" },
      fields = { code = text{max=12, min=12}, name = name, streetCode = street_code,
                 areaCode = area_code, cityCode = city_code, provinceCode = province_code },
      index  = { {"provinceCode"} },
      read = everyone, store = everyone, delete = everyone,
    },
  },
  tests = {
    ["every level keeps divisions and reads those of others"] = function(t)
      t.as("importer@coop", "level2")
      t.store("provinces", { code = "37", name = "山东省" })
      t.as("importer@hq", "level1")
      t.equal(t.get("provinces", "37").name, "山东省")
      t.store("provinces", { code = "37", name = "Shandong" })
      t.equal(t.get("provinces", "37").name, "Shandong")
      t.delete("provinces", "37")
      t.equal(t.get("provinces", "37"), nil)
    end,
    ["a code of another length is refused"] = function(t)
      t.as("importer@hq", "level1")
      t.refused("out_of_range", "store", { table = "provinces", row = { code = "3", name = "?" } })
      t.refused("out_of_range", "store", { table = "provinces", row = { code = "370", name = "?" } })
      t.refused("missing_field", "store", { table = "provinces", row = { code = "37" } })
    end,
    ["what belongs to a province is found by it"] = function(t)
      t.as("importer@hq", "level1")
      t.store("cities", { code = "3701", name = "济南市", provinceCode = "37" })
      t.store("cities", { code = "3702", name = "青岛市", provinceCode = "37" })
      t.store("cities", { code = "1101", name = "市辖区", provinceCode = "11" })
      t.equal(#t.find("cities", { provinceCode = "37" }), 2)
    end,
  },
}
