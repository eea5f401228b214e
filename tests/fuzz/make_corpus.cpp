// Writes the first inputs of the fuzz targets of messages/: lawful encodings, which mutation
// then bends. Usage: make_corpus DIRECTORY; writes DIRECTORY/<target>/<number>.
#include "messages/introspection.hpp"
#include "tests/unit/messages_samples.hpp"

#include <filesystem>
#include <fstream>
#include <iostream>

using namespace tallymesh;
using testing::sampler;

namespace {

class corpus {
public:
  corpus(const std::filesystem::path& directory, const char* target)
      : directory_(directory / target) {
    std::filesystem::create_directories(directory_);
  }
  void add(const bytes& input) {
    std::ofstream out(directory_ / std::to_string(count_++), std::ios::binary);
    out.write(reinterpret_cast<const char*>(input.data()),
              static_cast<std::streamsize>(input.size()));
    if (!out.flush()) throw std::runtime_error("cannot write to " + directory_.string());
  }
  void add(std::uint8_t selector, bytes_view input) {
    bytes whole{selector};
    whole.insert(whole.end(), input.begin(), input.end());
    add(whole);
  }

private:
  std::filesystem::path directory_;
  int count_ = 0;
};

void write_all(const std::filesystem::path& directory) {
  sampler random(1);
  corpus wire(directory, "fuzz_wire"), batches(directory, "fuzz_batch"),
      blocks(directory, "fuzz_block"), values(directory, "fuzz_values"),
      stored(directory, "fuzz_stored"), shell(directory, "fuzz_introspection");
  for (int i = 0; i < 10; ++i) {
    for (std::size_t kind = 0; kind < std::variant_size_v<wire_message>; ++kind)
      wire.add(make_frame(random.some_message(kind)));
    batches.add(encode(random.some_batch()));
    blocks.add(encode(random.some_block()));
    values.add(0, encode(random.some_value()));
    values.add(1, encode(random.some_map()));
    values.add(2, encode(random.some_operation()));
    values.add(3, as_bytes(to_hex(random.some_bytes(8))));
    const auto scale = static_cast<std::uint8_t>(random.below(19));
    values.add(static_cast<std::uint8_t>(4 + scale),
               as_bytes(decimal{random.some_integer(), scale}.to_text()));
    introspection::question asked{static_cast<std::uint32_t>(i),
                                  static_cast<introspection::topic>(2 * i), random.some_map()};
    shell.add(0, make_frame(asked));
    shell.add(1,
              make_frame(introspection::answer{asked.number, i % 2 == 0, "", asked.arguments}));
    stored.add(0, encode(random.some_execution()));
    stored.add(1, encode(random.some_receipt()));
    stored.add(2, encode(random.some_change()));
    stored.add(3, encode(random.some_certificate()));
    stored.add(4, encode(random.some_item()));
    stored.add(5, encode(random.some_evidence()));
    stored.add(6, encode(random.some_erasure_certificate()));
  }
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: make_corpus DIRECTORY\n";
    return 64;
  }
  try {
    write_all(argv[1]);
  } catch (const std::exception& failure) {
    std::cerr << "make_corpus: " << failure.what() << '\n';
    return 1;
  }
}
