#include "io/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "io/gguf_values.h"

namespace hearth::io {
namespace {

using namespace gguf;

static_assert(std::endian::native == std::endian::little);

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"

constexpr uint64_t kValueBytes[kValueTypes] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

constexpr GgufType kTypes[] = {
    {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},
    {3, "Q4_1", 32, 20},      {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},
    {8, "Q8_0", 32, 34},      {9, "Q8_1", 32, 36},      {10, "Q2_K", 256, 84},
    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},   {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66},
    {17, "IQ2_XS", 256, 74},  {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},
    {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},  {22, "IQ2_S", 256, 82},
    {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},
    {26, "I32", 1, 4},        {27, "I64", 1, 8},        {28, "F64", 1, 8},
    {29, "IQ1_M", 256, 56},   {30, "BF16", 1, 2},       {34, "TQ1_0", 256, 54},
    {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},
};

template <typename T>
T read_as(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

double number_at(uint32_t type, const std::byte* at) {
  switch (type) {
    case kUint8:
      return read_as<uint8_t>(at);
    case kInt8:
      return read_as<int8_t>(at);
    case kUint16:
      return read_as<uint16_t>(at);
    case kInt16:
      return read_as<int16_t>(at);
    case kUint32:
      return read_as<uint32_t>(at);
    case kInt32:
      return read_as<int32_t>(at);
    case kFloat32:
      return static_cast<double>(read_as<float>(at));
    case kBool:
      return read_as<uint8_t>(at) != 0 ? 1 : 0;
    case kUint64:
      return static_cast<double>(read_as<uint64_t>(at));
    case kInt64:
      return static_cast<double>(read_as<int64_t>(at));
    default:
      return read_as<double>(at);
  }
}

// Takes values off the front of a file; every length is checked against what is left.
class Reader {
 public:
  Reader(std::span<const std::byte> file, const std::string& where) : file_(file), where_(where) {}

  uint64_t position() const { return position_; }
  uint64_t left() const { return file_.size() - position_; }

  std::span<const std::byte> take(uint64_t bytes, std::string_view what) {
    if (bytes > left()) {
      throw_error(ErrorCode::kDataLoss, where_,
                  "truncated: {} needs {} bytes at {} and the file has {}; download it again", what,
                  bytes, position_, file_.size());
    }
    const auto taken = file_.subspan(position_, bytes);
    position_ += bytes;
    return taken;
  }
  template <typename T>
  T number(std::string_view what) {
    return read_as<T>(take(sizeof(T), what).data());
  }
  std::string_view string(std::string_view what) {
    const uint64_t length = number<uint64_t>(what);
    const auto text = take(length, what);
    return {reinterpret_cast<const char*>(text.data()), text.size()};
  }

 private:
  std::span<const std::byte> file_;
  const std::string& where_;
  uint64_t position_ = 0;
};

std::string read_name(Reader& reader, const std::string& where, const char* what,
                      const GgufLimits& limits) {
  const std::string_view name = reader.string(what);
  if (name.empty() || name.size() > limits.key_bytes_max) {
    throw_error(ErrorCode::kDataLoss, where, "{} has {} bytes; 1 to {} are expected", what,
                name.size(), limits.key_bytes_max);
  }
  return std::string(name);
}

GgufValue read_array(Reader& reader, const std::string& where, const std::string& key) {
  const uint32_t type = reader.number<uint32_t>(key);
  const uint64_t count = reader.number<uint64_t>(key);
  if (type >= kValueTypes || type == kArray) {
    throw_error(ErrorCode::kUnsupported, where, "key '{}': a list of values of type {}", key, type);
  }
  // A string takes its length at least, so a hostile count ends the file before the memory.
  const uint64_t bytes_each = type == kString ? sizeof(uint64_t) : kValueBytes[type];
  if (count > reader.left() / bytes_each) {
    throw_error(ErrorCode::kDataLoss, where,
                "key '{}' announces {} values, more than the file can hold; download it again", key,
                count);
  }
  if (type != kString) return GgufArray(type, count, reader.take(count * bytes_each, key));
  Reader begin = reader;
  for (uint64_t i = 0; i < count; ++i) reader.string(key);
  return GgufArray(type, count, begin.take(reader.position() - begin.position(), key));
}

GgufValue read_value(Reader& reader, const std::string& where, const std::string& key) {
  const uint32_t type = reader.number<uint32_t>(key);
  if (type >= kValueTypes) {
    throw_error(ErrorCode::kUnsupported, where, "key '{}' has the unknown type {}", key, type);
  }
  if (type == kString) return reader.string(key);
  if (type == kArray) return read_array(reader, where, key);
  const std::byte* at = reader.take(kValueBytes[type], key).data();
  switch (type) {
    case kBool:
      return read_as<uint8_t>(at) != 0;
    case kFloat32:
    case kFloat64:
      return number_at(type, at);
    case kInt8:
    case kInt16:
    case kInt32:
      return static_cast<int64_t>(number_at(type, at));
    case kInt64:
      return read_as<int64_t>(at);
    case kUint64:
      return read_as<uint64_t>(at);
    default:
      return static_cast<uint64_t>(number_at(type, at));
  }
}

struct Entry {
  std::string name;
  const GgufType* type = nullptr;
  std::vector<int64_t> shape;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

Entry read_entry(Reader& reader, const std::string& where, const GgufLimits& limits) {
  Entry entry;
  entry.name = read_name(reader, where, "a tensor's name", limits);
  const auto rank = reader.number<uint32_t>(entry.name);
  if (rank > limits.rank_max) {
    throw_error(ErrorCode::kDataLoss, where,
                "tensor '{}' has {} dimensions; at most {} are expected", entry.name, rank,
                limits.rank_max);
  }
  uint64_t elements = 1;
  for (uint32_t i = 0; i < rank; ++i) {
    const auto dim = reader.number<uint64_t>(entry.name);
    if (__builtin_mul_overflow(elements, dim, &elements) || elements > limits.elements_max ||
        dim > limits.elements_max) {
      throw_error(ErrorCode::kDataLoss, where, "tensor '{}': the shape is larger than memory",
                  entry.name);
    }
    entry.shape.insert(entry.shape.begin(), static_cast<int64_t>(dim));
  }
  const auto type = reader.number<uint32_t>(entry.name);
  entry.type = gguf_type(type);
  if (entry.type == nullptr) {
    throw_error(ErrorCode::kUnsupported, where,
                "tensor '{}' is of type {}, which is not known here; take a file of Q8_0, Q6_K, "
                "Q5_K, Q4_K, Q4_0, BF16, F16 or F32",
                entry.name, type);
  }
  entry.offset = reader.number<uint64_t>(entry.name);
  const uint64_t row = entry.shape.empty() ? 1 : static_cast<uint64_t>(entry.shape.back());
  if (row % entry.type->block_elements != 0) {
    throw_error(ErrorCode::kDataLoss, where,
                "tensor '{}': rows of {} do not fill whole blocks of {} ({})", entry.name, row,
                entry.type->block_elements, entry.type->name);
  }
  entry.bytes = elements / entry.type->block_elements * entry.type->block_bytes;
  return entry;
}

void check_header(Reader& reader, const std::string& where) {
  if (reader.left() < sizeof(uint32_t) || reader.number<uint32_t>("the magic") != kMagic) {
    throw_error(ErrorCode::kDataLoss, where,
                "not a GGUF file: it does not begin with 'GGUF'; download it again");
  }
  const auto version = reader.number<uint32_t>("the version");
  if (version == 2 || version == 3) return;
  const bool swapped = (version & 0xffff) == 0;
  throw_error(ErrorCode::kUnsupported, where,
              "{}; versions 2 and 3 in little-endian order are read: convert the model again",
              swapped ? "big-endian GGUF" : fmt::format("GGUF version {}", version));
}

uint64_t read_count(Reader& reader, const std::string& where, const char* what, uint64_t max) {
  const auto count = reader.number<uint64_t>(what);
  if (count > max) {
    throw_error(ErrorCode::kTooLarge, where, "{} {} are over the limit of {}", count, what, max);
  }
  return count;
}

uint64_t alignment_of(const GgufMetadata& metadata, const GgufLimits& limits) {
  const auto stated = metadata.integer("general.alignment");
  if (!stated) return kDefaultAlignment;
  const auto alignment = static_cast<uint64_t>(*stated);
  if (*stated < 1 || alignment > limits.alignment_max || !std::has_single_bit(alignment)) {
    throw_error(ErrorCode::kDataLoss, metadata.where(),
                "general.alignment is {}; a power of two up to {} is expected", *stated,
                limits.alignment_max);
  }
  return alignment;
}

StoredTensor stored(const Entry& entry, std::span<const std::byte> data, uint64_t alignment,
                    const std::string& where) {
  if (entry.offset % alignment != 0) {
    throw_error(ErrorCode::kDataLoss, where, "tensor '{}' begins at {}, which is no multiple of {}",
                entry.name, entry.offset, alignment);
  }
  if (entry.offset > data.size() || entry.bytes > data.size() - entry.offset) {
    throw_error(ErrorCode::kDataLoss, where,
                "tensor '{}' lies at bytes {} to {} of {}; the file is truncated or damaged: "
                "download it again",
                entry.name, entry.offset, entry.offset + entry.bytes, data.size());
  }
  return {entry.type->name, entry.shape, data.subspan(entry.offset, entry.bytes), where};
}

std::string folder_prefix(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

// "a/x-00001-of-00003.gguf" -> "x-00002-of-00003.gguf".
std::string part_name(const std::string& path, uint64_t part, uint64_t parts) {
  const std::string end = fmt::format("-00001-of-{:05}.gguf", parts);
  if (!path.ends_with(end)) {
    throw_error(ErrorCode::kInvalidArgument, path,
                "this is one of {} parts; name the first, whose name ends in '{}'", parts, end);
  }
  const std::string file = path.substr(folder_prefix(path).size());
  return fmt::format("{}-{:05}-of-{:05}.gguf", file.substr(0, file.size() - end.size()), part + 1,
                     parts);
}

void add_parts(FileSource& files, uint64_t parts, const GgufLimits& limits, Gguf& whole) {
  for (uint64_t part = 1; part < parts; ++part) {
    const std::string name = part_name(files.where(kGgufFile), part, parts);
    Gguf more = parse_gguf(files.bytes(name), files.where(name), limits);
    for (auto& [tensor, stored] : more.tensors) {
      const auto [it, added] = whole.tensors.emplace(tensor, std::move(stored));
      if (!added) {
        throw_error(ErrorCode::kDataLoss, files.where(name), "tensor '{}' is in {} as well", tensor,
                    it->second.file);
      }
    }
  }
}

}  // namespace

const GgufType* gguf_type(uint32_t id) {
  const auto it = std::find_if(std::begin(kTypes), std::end(kTypes),
                               [&](const GgufType& type) { return type.id == id; });
  return it == std::end(kTypes) ? nullptr : it;
}

const GgufType* gguf_type(std::string_view name) {
  const auto it = std::find_if(std::begin(kTypes), std::end(kTypes),
                               [&](const GgufType& type) { return type.name == name; });
  return it == std::end(kTypes) ? nullptr : it;
}

GgufArray::Kind GgufArray::kind() const {
  return type_ == kString ? Kind::kStrings : Kind::kNumbers;
}

std::vector<std::string_view> GgufArray::strings() const {
  std::vector<std::string_view> texts;
  if (type_ != kString) return texts;
  texts.reserve(count_);
  const std::byte* at = bytes_.data();
  for (uint64_t i = 0; i < count_; ++i) {
    const auto length = read_as<uint64_t>(at);
    texts.emplace_back(reinterpret_cast<const char*>(at) + sizeof(length), length);
    at += sizeof(length) + length;
  }
  return texts;
}

std::vector<double> GgufArray::numbers() const {
  std::vector<double> values;
  if (type_ == kString) return values;
  values.reserve(count_);
  for (uint64_t i = 0; i < count_; ++i) {
    values.push_back(number_at(type_, bytes_.data() + i * kValueBytes[type_]));
  }
  return values;
}

const GgufValue* GgufMetadata::find(std::string_view key) const {
  const auto it = pairs_.find(key);
  return it == pairs_.end() ? nullptr : &it->second;
}

void GgufMetadata::wrong_type(std::string_view key, const char* expected) const {
  throw_error(ErrorCode::kDataLoss, where_, "key '{}' is not {}", key, expected);
}

std::optional<int64_t> GgufMetadata::integer(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<uint64_t>(value)) {
    if (*number > uint64_t{INT64_MAX}) wrong_type(key, "a whole number of 63 bits");
    return static_cast<int64_t>(*number);
  }
  if (const auto* number = std::get_if<int64_t>(value)) return *number;
  wrong_type(key, "a whole number");
}

std::optional<double> GgufMetadata::number(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<double>(value)) return *number;
  return static_cast<double>(*integer(key));
}

std::optional<bool> GgufMetadata::flag(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* flag = std::get_if<bool>(value)) return *flag;
  wrong_type(key, "true or false");
}

std::optional<std::string_view> GgufMetadata::text(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* text = std::get_if<std::string_view>(value)) return *text;
  wrong_type(key, "a string");
}

std::optional<std::vector<std::string_view>> GgufMetadata::strings(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* list = std::get_if<GgufArray>(value);
  if (list == nullptr || list->kind() != GgufArray::Kind::kStrings) {
    wrong_type(key, "a list of strings");
  }
  return list->strings();
}

std::optional<std::vector<double>> GgufMetadata::numbers(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* list = std::get_if<GgufArray>(value);
  if (list == nullptr) return std::vector<double>{*number(key)};
  if (list->kind() == GgufArray::Kind::kStrings) wrong_type(key, "a list of numbers");
  return list->numbers();
}

int64_t GgufMetadata::required_integer(std::string_view key) const {
  const auto value = integer(key);
  if (!value) throw_error(ErrorCode::kDataLoss, where_, "key '{}' is missing", key);
  return *value;
}

std::string_view GgufMetadata::required_text(std::string_view key) const {
  const auto value = text(key);
  if (!value) throw_error(ErrorCode::kDataLoss, where_, "key '{}' is missing", key);
  return *value;
}

Gguf parse_gguf(std::span<const std::byte> file, const std::string& where,
                const GgufLimits& limits) {
  Reader reader(file, where);
  check_header(reader, where);
  const uint64_t tensors = read_count(reader, where, "tensors", limits.tensors_max);
  const uint64_t pairs = read_count(reader, where, "key-value pairs", limits.pairs_max);
  std::map<std::string, GgufValue, std::less<>> values;
  for (uint64_t i = 0; i < pairs; ++i) {
    std::string key = read_name(reader, where, "a key", limits);
    GgufValue value = read_value(reader, where, key);
    const auto [it, added] = values.emplace(std::move(key), value);
    if (!added) throw_error(ErrorCode::kDataLoss, where, "key '{}' comes twice", it->first);
  }
  Gguf gguf{{std::move(values), where}, {}};
  std::vector<Entry> entries;
  for (uint64_t i = 0; i < tensors; ++i) entries.push_back(read_entry(reader, where, limits));
  const uint64_t alignment = alignment_of(gguf.metadata, limits);
  const uint64_t begin = (reader.position() + alignment - 1) / alignment * alignment;
  const auto data = begin > file.size() ? std::span<const std::byte>() : file.subspan(begin);
  for (const Entry& entry : entries) {
    const auto [it, added] =
        gguf.tensors.emplace(entry.name, stored(entry, data, alignment, where));
    if (!added) throw_error(ErrorCode::kDataLoss, where, "tensor '{}' comes twice", it->first);
  }
  return gguf;
}

Gguf load_gguf(FileSource& files, const GgufLimits& limits) {
  Gguf whole = parse_gguf(files.bytes(kGgufFile), files.where(kGgufFile), limits);
  const int64_t parts = whole.metadata.integer("split.count").value_or(1);
  if (parts < 0 || static_cast<uint64_t>(parts) > limits.parts_max) {
    throw_error(ErrorCode::kTooLarge, files.where(kGgufFile),
                "split.count is {}; at most {} parts are read", parts, limits.parts_max);
  }
  add_parts(files, static_cast<uint64_t>(parts), limits, whole);
  return whole;
}

GgufFile::GgufFile(std::string path) : path_(std::move(path)) {
  if (!file_exists(path_)) throw_error(ErrorCode::kNotFound, path_, "no such file");
}

bool GgufFile::has(const std::string& name) const {
  return name == kGgufFile || (name.ends_with(".gguf") && file_exists(where(name)));
}

std::span<const std::byte> GgufFile::bytes(const std::string& name) {
  if (!has(name)) throw_error(ErrorCode::kNotFound, where(name), "no such file");
  auto it = files_.find(name);
  if (it == files_.end()) it = files_.emplace(name, MappedFile(where(name))).first;
  return it->second.bytes();
}

void GgufFile::release_pages() {
  for (const auto& [name, file] : files_) file.release_pages();
}

size_t GgufFile::mapped_bytes() const { return io::mapped_bytes(files_); }

size_t GgufFile::move_to_huge_pages(const std::stop_token& stop) {
  return io::move_to_huge_pages(files_, stop);
}

std::string GgufFile::where(const std::string& name) const {
  return name == kGgufFile ? path_ : folder_prefix(path_) + name;
}

}  // namespace hearth::io
