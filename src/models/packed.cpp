#include "models/packed.h"

#include <atomic>
#include <charconv>
#include <set>
#include <thread>
#include <utility>

#include "base/error.h"
#include "io/checksum.h"

namespace hearth::models {
namespace {

constexpr const char* kVersionKey = "hearth.packed";
constexpr const char* kSourceKey = "hearth.source";
constexpr const char* kQuantizeKey = "hearth.quantize";
constexpr const char* kVersion = "1";
constexpr const char* kScales = ".scales";
constexpr int64_t kSideMax = int64_t{1} << 32;  // of a matrix, so that no product overflows

std::span<const std::byte> levels_of(const ops::Weight& w) {
  return {static_cast<const std::byte*>(w.matrix.data),
          static_cast<size_t>(ops::quant_level_bytes(w.format, w.out, w.in))};
}

std::span<const std::byte> scales_of(const ops::Weight& w) {
  return {static_cast<const std::byte*>(w.scales.data),
          static_cast<size_t>(ops::quant_scale_bytes(w.out, w.in))};
}

uint64_t checksum_of(const ops::Weight& w) {
  return io::checksum(scales_of(w), io::checksum(levels_of(w)));
}

struct Entry {
  ops::WeightFormat format = ops::WeightFormat::kQ8;
  int64_t out = 0;
  int64_t in = 0;
  uint64_t checksum = 0;
};

[[noreturn]] void damaged(const std::string& where, std::string_view name, const char* what) {
  throw_error(ErrorCode::kDataLoss, where,
              "packed tensor '{}': {}; the file is damaged: make it again", name, what);
}

// "q4 4096 1024 00ff..."
Entry parse_entry(std::string_view text, const std::string& where, std::string_view name) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  Entry entry;
  const auto number = [&](size_t i, auto& value, int base) {
    const char* last = words[i].data() + words[i].size();
    return std::from_chars(words[i].data(), last, value, base).ptr == last;
  };
  const bool whole = words.size() == 4 && number(1, entry.out, 10) && number(2, entry.in, 10) &&
                     number(3, entry.checksum, 16);
  if (!whole || (words[0] != "q8" && words[0] != "q4") || entry.out < 1 || entry.in < 1 ||
      entry.out > kSideMax || entry.in > kSideMax) {
    damaged(where, name, "its description cannot be read");
  }
  entry.format = words[0] == "q8" ? ops::WeightFormat::kQ8 : ops::WeightFormat::kQ4;
  return entry;
}

ops::Weight view_of(const Entry& entry, const io::StoredTensor& levels,
                    const io::StoredTensor& scales, const std::string& where,
                    std::string_view name) {
  const auto level_bytes = ops::quant_level_bytes(entry.format, entry.out, entry.in);
  const auto scale_bytes = ops::quant_scale_bytes(entry.out, entry.in);
  if (static_cast<int64_t>(levels.data.size()) != level_bytes ||
      static_cast<int64_t>(scales.data.size()) != scale_bytes) {
    damaged(where, name, "its size is not that of its shape");
  }
  if (reinterpret_cast<uintptr_t>(scales.data.data()) % sizeof(uint16_t) != 0) {
    damaged(where, name, "its scales lie at an odd address");
  }
  // Kernels only read; views have one pointer type for both directions.
  return ops::packed_view(entry.format, entry.out, entry.in,
                          const_cast<std::byte*>(levels.data.data()),
                          const_cast<std::byte*>(scales.data.data()));
}

Quantize quantize_named(std::string_view name) {
  if (name == "q8") return Quantize::kQ8;
  return name == "q4" ? Quantize::kQ4 : Quantize::kNone;
}

struct Check {
  const std::string* name;
  const ops::Weight* weight;
  uint64_t expected;
};

// Each thread takes the next weight; the bytes are read once, which the first token would do
// anyway.
const Check* first_damaged(const std::vector<Check>& checks, int threads) {
  std::atomic<size_t> next = 0;
  std::atomic<const Check*> found = nullptr;
  const auto work = [&] {
    for (size_t i = next++; i < checks.size(); i = next++) {
      if (checksum_of(*checks[i].weight) != checks[i].expected) found = &checks[i];
    }
  };
  std::vector<std::jthread> helpers;
  for (int i = 1; i < threads; ++i) helpers.emplace_back(work);
  work();
  helpers.clear();
  return found;
}

}  // namespace

std::optional<PackedFile> PackedFile::open(std::span<const std::byte> file,
                                           const std::string& where, int threads) {
  const auto metadata = io::safetensors_metadata(file, where);
  const auto version = metadata.find(kVersionKey);
  if (version == metadata.end()) return std::nullopt;
  if (version->second != kVersion) {
    throw_error(
        ErrorCode::kUnsupported, where,
        "packed weights of version {}; this Hearth reads version {}: quantise the model again",
        version->second, kVersion);
  }
  PackedFile packed;
  packed.others_ = io::parse_safetensors(file, where);
  std::vector<Check> checks;
  for (const auto& [key, value] : metadata) {
    if (key == kSourceKey) packed.source_ = value;
    if (key == kQuantizeKey) packed.quantize_ = quantize_named(value);
    if (key.starts_with("hearth.")) continue;
    const auto levels = packed.others_.find(key);
    const auto scales = packed.others_.find(key + kScales);
    if (levels == packed.others_.end() || scales == packed.others_.end()) {
      damaged(where, key, "its levels or its scales are missing");
    }
    const Entry entry = parse_entry(value, where, key);
    const auto added =
        packed.weights_.emplace(key, view_of(entry, levels->second, scales->second, where, key));
    checks.push_back({&added.first->first, &added.first->second, entry.checksum});
    packed.others_.erase(levels);
    packed.others_.erase(scales);
  }
  if (const Check* bad = first_damaged(checks, threads)) {
    damaged(where, *bad->name, "its checksum is another");
  }
  return packed;
}

const ops::Weight* PackedFile::find(std::string_view name) const {
  const auto it = weights_.find(name);
  return it == weights_.end() ? nullptr : &it->second;
}

void write_packed(const std::string& path, const PackedContents& contents) {
  std::map<std::string, std::string> metadata = {{kVersionKey, kVersion},
                                                 {kSourceKey, contents.source},
                                                 {kQuantizeKey, to_string(contents.quantize)}};
  // Wide rows first: levels and scales keep each other aligned, whatever follows.
  std::vector<io::TensorToStore> tensors;
  for (const PackedWeight& packed : contents.weights) {
    const ops::Weight& w = packed.weight;
    const int64_t blocks = ops::quant_blocks(w.out);
    metadata[packed.name] =
        fmt::format("{} {} {} {:016x}", ops::to_string(w.format), w.out, w.in, checksum_of(w));
    tensors.push_back({packed.name, "U8", {blocks, w.matrix.cols()}, levels_of(w)});
  }
  for (const PackedWeight& packed : contents.weights) {
    const ops::Weight& w = packed.weight;
    tensors.push_back(
        {packed.name + kScales, "F16", {ops::quant_blocks(w.out), w.scales.cols()}, scales_of(w)});
  }
  for (const char* dtype : {"F32", "F16", "BF16"}) {
    for (const io::TensorToStore& other : contents.others) {
      if (other.dtype == dtype) tensors.push_back(other);
    }
  }
  io::write_safetensors(path, tensors, metadata);
}

}  // namespace hearth::models
