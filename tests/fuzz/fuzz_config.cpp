// Config files with anything in them: genesis, node.toml and the tokens file.
#include "configs/node_config.hpp"
#include "configs/tokens.hpp"
#include "messages/keys.hpp"

using namespace tallymesh;
using namespace tallymesh::configs;

static void one_line(const error& failure) {
  TALLYMESH_INVARIANT(!failure.context.empty()
                      && failure.context.find('\n') == std::string::npos);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bool started = (initialise_crypto(), true);
  static_cast<void>(started);
  const auto text = as_text({data, size});
  // Every file that the input names holds the input itself: its contract, and its genesis.
  const file_source same = [&](const std::filesystem::path&) {
    return result<std::string>(std::string(text));
  };
  if (const auto mesh = parse_genesis(text, "genesis.toml", same); !mesh)
    one_line(mesh.error());
  else
    TALLYMESH_INVARIANT(decode<genesis>(encode(*mesh)).has_value());
  if (const auto node = parse_node(text, "node.toml", same); !node) one_line(node.error());

  genesis mesh;
  mesh.nodes.push_back({"n", tier::level1, {}, {}, {}});
  mesh.accounts.push_back({"a", "n", {}});
  if (const auto tokens = token_list::parse(text, "tokens", mesh, 0); !tokens)
    one_line(tokens.error());
  return 0;
}
