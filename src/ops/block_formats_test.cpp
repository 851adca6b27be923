// The block formats of GGUF files against what llama.cpp's own package makes of the same bytes
// (tests/golden/gguf_blocks.json), and against each other.
#include "ops/block_formats.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "ops/quantize.h"

namespace hearth::ops {
namespace {

struct Golden {
  std::vector<std::byte> bytes;
  std::vector<float> values;
};

std::vector<uint8_t> from_hex(const std::string& hex) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

// The file has a key and a value on a line of its own, which is all the JSON that is needed here.
std::map<std::string, Golden> goldens() {
  std::ifstream file(HEARTH_SOURCE_DIR "/tests/golden/gguf_blocks.json");
  std::map<std::string, Golden> all;
  std::string format;
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find("\": \"");
    if (colon == std::string::npos) continue;
    const std::string key = line.substr(1, colon - 1);
    const std::string value = line.substr(colon + 4, line.rfind('"') - colon - 4);
    if (key == "format") format = value;
    if (key == "bytes") {
      for (uint8_t byte : from_hex(value)) all[format].bytes.push_back(std::byte{byte});
    }
    if (key != "bits") continue;
    const std::vector<uint8_t> bits = from_hex(value);
    for (size_t i = 0; i < bits.size(); i += 4) {
      const uint32_t word = uint32_t{bits[i]} << 24 | uint32_t{bits[i + 1]} << 16 |
                            uint32_t{bits[i + 2]} << 8 | bits[i + 3];
      all[format].values.push_back(std::bit_cast<float>(word));
    }
  }
  return all;
}

TEST(BlockFormats, ValuesAreThoseOfLlamaCpp) {
  const auto all = goldens();
  ASSERT_EQ(all.size(), 8u);
  for (const auto& [name, golden] : all) {
    SCOPED_TRACE(name);
    const auto format = block_format(name);
    ASSERT_TRUE(format);
    const auto n = static_cast<int64_t>(golden.values.size());
    ASSERT_EQ(block_row_bytes(*format, n), static_cast<int64_t>(golden.bytes.size()));
    std::vector<float> y(golden.values.size());
    widen_blocks(*format, golden.bytes.data(), n, y.data());
    for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], golden.values[i]) << i;
  }
}

TEST(BlockFormats, ExactFormatsLoseNothingWhenRepacked) {
  for (const auto& [name, golden] : goldens()) {
    const auto format = *block_format(name);
    if (!exact_format(format)) continue;
    SCOPED_TRACE(name);
    const auto in = static_cast<int64_t>(golden.values.size());
    const Weight w = repack({format, golden.bytes.data(), 1, in, {}}, 1, "w");
    std::vector<float> y(golden.values.size());
    read_row(w, 0, y.data());
    EXPECT_EQ(y, golden.values);
  }
}

TEST(BlockFormats, RowsComeInTheOrderAskedFor) {
  const Golden golden = goldens().at("Q8_0");
  const auto in = static_cast<int64_t>(golden.values.size()) / 2;
  const int64_t order[] = {1, 0};
  const Weight w = repack({BlockFormat::kQ8_0, golden.bytes.data(), 2, in, order}, 1, "w");
  std::vector<float> y(static_cast<size_t>(in));
  read_row(w, 0, y.data());
  for (int64_t i = 0; i < in; ++i) {
    EXPECT_EQ(y[static_cast<size_t>(i)], golden.values[static_cast<size_t>(in + i)]);
  }
}

TEST(BlockFormats, AScaleThatIsNoNumberIsRefused) {
  std::vector<std::byte> block(34);
  const uint16_t infinity = 0x7c00;
  std::memcpy(block.data(), &infinity, sizeof(infinity));
  EXPECT_THROW(repack({BlockFormat::kQ8_0, block.data(), 1, 32, {}}, 1, "w"), Error);
}

}  // namespace
}  // namespace hearth::ops
