local function told(x) return type(x) == "table" and #x or tostring(x) end
return { contract = "l", version = 1, tables = { t = { key = {"a"}, fields = { a = bool } } },
  actions = { go = { run = function(ctx)
    local s, t, seen = ("Abc 12-z "):rep(9, ","), { 5, 3, k = 1, [true] = 2 }, {}
    for k, v in pairs(t) do seen[#seen + 1] = told(k) end
    table.sort(t, function(a, b) return a > b end)
    table.insert(t, 1, 4) table.remove(t)
    local a = s:find("(%w+)%s(%d*)", 2) or s:match("%f[%w].-c") or s:gsub("%a", { A = "b" })
    for w, n in s:gmatch("(%a+) (%d+)") do seen[#seen + 1] = w .. n end
    s = ("%5d|%-6s|%x|%c|%%"):format(12, "ab", 255, 65) .. s:upper():lower():reverse():sub(-9, 90)
    local fine, why = pcall(function() error({ 1 }) end)
    local function f(n, ...) if n > 0 then return f(n - 1, n, ...) end return select("#", ...) end
    seen[#seen + 1] = f(20) + math.max(1, 2) // 2 % 7 + (next({ 9 }))
    pcall(table.concat, seen, ";", 1, 400) pcall(string.find, s, ("a?"):rep(50))
    return { table.unpack(seen, 1, 3), s:byte(1, 3), utf8.len(s), tonumber(" 12 "), fine }
  end },
  loop = { run = function() while true do pcall(function() local t = {} t[#t + 1] = ("x"):rep(99) end) end end },
  deep = { run = function() local function f() return 1 + f() end return pcall(f) end },
  eat = { run = function() local t = {} while true do t[#t + 1] = { t } end end } } }
