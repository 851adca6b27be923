#include "io/gguf_writer.h"

#include "base/check.h"
#include "base/error.h"
#include "io/gguf_values.h"

namespace hearth::io {
namespace {

using namespace gguf;

constexpr uint32_t kVersion = 3;

template <typename T>
void put(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

uint64_t padding(uint64_t bytes) {
  return (kDefaultAlignment - bytes % kDefaultAlignment) % kDefaultAlignment;
}

}  // namespace

void GgufWriter::put_text(std::string& to, std::string_view text) {
  put(to, uint64_t{text.size()});
  to.append(text);
}

void GgufWriter::pair(std::string_view key, uint32_t type) {
  put_text(values_, key);
  put(values_, type);
  ++pairs_;
}

void GgufWriter::integer(std::string_view key, uint32_t value) {
  pair(key, kUint32);
  put(values_, value);
}

void GgufWriter::number(std::string_view key, float value) {
  pair(key, kFloat32);
  put(values_, value);
}

void GgufWriter::flag(std::string_view key, bool value) {
  pair(key, kBool);
  put(values_, static_cast<uint8_t>(value));
}

void GgufWriter::text(std::string_view key, std::string_view value) {
  pair(key, kString);
  put_text(values_, value);
}

void GgufWriter::texts(std::string_view key, std::span<const std::string> values) {
  pair(key, kArray);
  put(values_, kString);
  put(values_, uint64_t{values.size()});
  for (const std::string& value : values) put_text(values_, value);
}

void GgufWriter::integers(std::string_view key, std::span<const int32_t> values) {
  pair(key, kArray);
  put(values_, kInt32);
  put(values_, uint64_t{values.size()});
  for (int32_t value : values) put(values_, value);
}

void GgufWriter::numbers(std::string_view key, std::span<const float> values) {
  pair(key, kArray);
  put(values_, kFloat32);
  put(values_, uint64_t{values.size()});
  for (float value : values) put(values_, value);
}

void GgufWriter::bytes(std::string_view key, std::string_view values) {
  pair(key, kArray);
  put(values_, kUint8);
  put(values_, uint64_t{values.size()});
  values_.append(values);
}

void GgufWriter::tensor(const std::string& name, const GgufType& type,
                        std::span<const int64_t> shape, std::function<void(const Sink&)> fill) {
  CHECK(!shape.empty() && shape.back() % type.block_elements == 0, "tensor {}: rows of {} as {}",
        name, shape.empty() ? 0 : shape.back(), type.name);
  put_text(table_, name);
  put(table_, static_cast<uint32_t>(shape.size()));
  uint64_t elements = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    put(table_, static_cast<uint64_t>(shape[i]));
    elements *= static_cast<uint64_t>(shape[i]);
  }
  put(table_, type.id);
  put(table_, offset_);
  const uint64_t bytes = elements / type.block_elements * type.block_bytes;
  offset_ += bytes + padding(bytes);
  tensors_.push_back({name, bytes, std::move(fill)});
}

void GgufWriter::write(const std::string& path, const Progress& progress) const {
  AtomicFile file(path);
  std::string header = "GGUF";
  put(header, kVersion);
  put(header, uint64_t{tensors_.size()});
  put(header, pairs_);
  header += values_ + table_;
  header.append(padding(header.size()), '\0');
  file.append(as_bytes(header));
  const uint64_t begin = file.size();
  for (const Tensor& tensor : tensors_) {
    const uint64_t from = file.size();
    tensor.fill([&](std::span<const std::byte> bytes) { file.append(bytes); });
    CHECK(file.size() - from == tensor.bytes, "tensor {}: {} bytes given, {} announced",
          tensor.name, file.size() - from, tensor.bytes);
    file.append(as_bytes(std::string(padding(tensor.bytes), '\0')));
    if (progress) {
      progress(static_cast<int64_t>(file.size() - begin), static_cast<int64_t>(offset_));
    }
  }
  file.commit();
}

}  // namespace hearth::io
