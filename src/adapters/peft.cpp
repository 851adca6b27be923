#include "adapters/peft.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>

#include "adapters/module_rules.h"
#include "base/error.h"
#include "io/file.h"
#include "io/json.h"
#include "io/safetensors.h"

namespace hearth::adapters {
namespace {

constexpr std::string_view kPrefix = "base_model.model.";
constexpr size_t kHeaderBytesMax = size_t{16} << 20;
constexpr size_t kNameBytesMax = 512;

enum class Role : uint8_t { kA, kB, kMagnitude };

struct Suffix {
  std::string_view text;
  Role role;
};
// save_pretrained leaves the adapter's own name out; a plain state_dict has it.
constexpr Suffix kSuffixes[] = {
    {".lora_A.weight", Role::kA},
    {".lora_B.weight", Role::kB},
    {".lora_magnitude_vector", Role::kMagnitude},
    {".lora_magnitude_vector.weight", Role::kMagnitude},
    {".lora_A.default.weight", Role::kA},
    {".lora_B.default.weight", Role::kB},
    {".lora_magnitude_vector.default.weight", Role::kMagnitude},
};

// The tensors of one module, as stored.
struct Found {
  const io::StoredTensor* a = nullptr;
  const io::StoredTensor* b = nullptr;
  const io::StoredTensor* magnitude = nullptr;

  const io::StoredTensor*& of(Role role) {
    return role == Role::kA ? a : role == Role::kB ? b : magnitude;
  }
};

[[noreturn]] void damaged(const io::StoredTensor& tensor, const std::string& name,
                          const std::string& what) {
  throw_error(ErrorCode::kDataLoss, tensor.file, "tensor '{}' {}", name, what);
}

// Sorts the tensors of a file to their modules.
std::map<std::string, Found> sort_tensors(const io::TensorMap& tensors, const std::string& where,
                                          const AdapterLimits& limits) {
  std::map<std::string, Found> modules;
  for (const auto& [name, tensor] : tensors) {
    const auto suffix =
        std::find_if(std::begin(kSuffixes), std::end(kSuffixes),
                     [&](const Suffix& known) { return name.ends_with(known.text); });
    const size_t fixed = kPrefix.size() + (suffix == std::end(kSuffixes) ? 0 : suffix->text.size());
    if (suffix == std::end(kSuffixes) || !name.starts_with(kPrefix) || name.size() <= fixed ||
        name.size() > kNameBytesMax) {
      throw_error(ErrorCode::kUnsupported, where,
                  "tensor '{}' is no low-rank part of a linear layer; expected "
                  "{}<module>.lora_A.weight, .lora_B.weight or .lora_magnitude_vector",
                  name.substr(0, kNameBytesMax), kPrefix);
    }
    const std::string module = name.substr(kPrefix.size(), name.size() - fixed);
    const io::StoredTensor*& place = modules[module].of(suffix->role);
    if (place != nullptr) damaged(tensor, name, "is there twice under different names");
    place = &tensor;
    if (modules.size() > static_cast<size_t>(limits.modules_max)) {
      throw_error(ErrorCode::kTooLarge, where, "more than {} modules", limits.modules_max);
    }
  }
  if (modules.empty()) throw_error(ErrorCode::kDataLoss, where, "no tensors");
  return modules;
}

DType dtype_of(const io::StoredTensor& tensor, const std::string& name) {
  if (tensor.dtype == "F32") return DType::kF32;
  if (tensor.dtype == "F16") return DType::kF16;
  if (tensor.dtype == "BF16") return DType::kBF16;
  throw_error(ErrorCode::kUnsupported, tensor.file,
              "tensor '{}' is {}; supported are F32, F16 and BF16", name, tensor.dtype);
}

// Views have one pointer type for reading and writing; these are only read.
TensorView view_of(const io::StoredTensor& tensor, const std::string& name, Shape shape) {
  return {const_cast<std::byte*>(tensor.data.data()), dtype_of(tensor, name), shape};
}

TensorView matrix(const io::StoredTensor* tensor, const std::string& name) {
  if (tensor->shape.size() != 2 || tensor->shape[0] <= 0 || tensor->shape[1] <= 0) {
    damaged(*tensor, name,
            fmt::format("has the shape [{}]; expected a matrix", fmt::join(tensor->shape, ", ")));
  }
  return view_of(*tensor, name, {tensor->shape[0], tensor->shape[1]});
}

// [out]; PEFT once stored it as a column.
TensorView magnitude_vector(const io::StoredTensor* tensor, const std::string& name, int64_t out) {
  const std::vector<int64_t> row = {out};
  const std::vector<int64_t> column = {out, 1};
  if (tensor->shape != row && tensor->shape != column) {
    damaged(*tensor, name,
            fmt::format("has the shape [{}]; the module has {} outputs",
                        fmt::join(tensor->shape, ", "), out));
  }
  return view_of(*tensor, name, {out});
}

// Not a number and infinity have all bits of the exponent.
bool finite(const TensorView& values) {
  const auto* at = static_cast<const std::byte*>(values.data);
  const int64_t count = values.shape.count();
  bool all = true;
  if (values.dtype == DType::kF32) {
    for (int64_t i = 0; i < count; ++i, at += sizeof(uint32_t)) {
      uint32_t bits = 0;
      std::memcpy(&bits, at, sizeof bits);
      all &= (bits & 0x7f800000u) != 0x7f800000u;
    }
    return all;
  }
  const uint32_t exponent = values.dtype == DType::kF16 ? 0x7c00u : 0x7f80u;
  for (int64_t i = 0; i < count; ++i, at += sizeof(uint16_t)) {
    uint16_t bits = 0;
    std::memcpy(&bits, at, sizeof bits);
    all &= (bits & exponent) != exponent;
  }
  return all;
}

Tensor in_f32(const TensorView& values) {
  Tensor to(DType::kF32, values.shape);
  const int64_t count = values.shape.count();
  const auto* at = static_cast<const std::byte*>(values.data);
  if (values.dtype == DType::kF32) {
    std::memcpy(to->data, at, static_cast<size_t>(count) * sizeof(float));
    return to;
  }
  const auto convert = values.dtype == DType::kBF16 ? bf16_to_float : f16_to_float;
  for (int64_t i = 0; i < count; ++i, at += sizeof(uint16_t)) {
    uint16_t bits = 0;
    std::memcpy(&bits, at, sizeof bits);
    to->as<float>()[i] = convert(bits);
  }
  return to;
}

void check_complete(const std::string& module, const Found& found, const AdapterConfig& config,
                    const std::string& where) {
  const auto missing = [&](std::string_view suffix) {
    throw_error(ErrorCode::kDataLoss, where, "tensor '{}' is missing", tensor_name(module, suffix));
  };
  if (found.a == nullptr) missing(".lora_A.weight");
  if (found.b == nullptr) missing(".lora_B.weight");
  if (config.use_dora && found.magnitude == nullptr) missing(".lora_magnitude_vector");
  if (!config.use_dora && found.magnitude != nullptr) {
    throw_error(ErrorCode::kDataLoss, where,
                "tensor '{}' is there, and {} says use_dora false; they belong to different "
                "adapters",
                tensor_name(module, ".lora_magnitude_vector"), kAdapterConfigFile);
  }
}

StoredModule read_module(const std::string& name, const Found& found, const ModuleRules& rules) {
  StoredModule module;
  module.name = name;
  module.rank = rules.rank(name);
  module.scale = rules.scale(name);
  module.a = matrix(found.a, tensor_name(name, ".lora_A.weight"));
  module.b = matrix(found.b, tensor_name(name, ".lora_B.weight"));
  if (module.a.rows() != module.rank || module.b.cols() != module.rank) {
    throw_error(ErrorCode::kDataLoss, found.a->file,
                "module '{}': lora_A {} and lora_B {} must share the rank {} that {} says", name,
                module.a.shape.to_string(), module.b.shape.to_string(), module.rank,
                kAdapterConfigFile);
  }
  if (found.magnitude != nullptr) {
    module.magnitude = magnitude_vector(found.magnitude,
                                        tensor_name(name, ".lora_magnitude_vector"), module.out());
  }
  return module;
}

std::span<const std::byte> weight_bytes(io::FileSource& files, const AdapterLimits& limits) {
  if (!files.has(kAdapterWeightsFile) && files.has("adapter_model.bin")) {
    throw_error(ErrorCode::kUnsupported, files.where("adapter_model.bin"),
                "pickled weights are not read; save the adapter as {} (PEFT: "
                "save_pretrained(safe_serialization=True))",
                kAdapterWeightsFile);
  }
  const auto bytes = files.bytes(kAdapterWeightsFile);
  if (bytes.size() > limits.bytes_max) {
    throw_error(ErrorCode::kTooLarge, files.where(kAdapterWeightsFile),
                "{} bytes are over the limit of {}", bytes.size(), limits.bytes_max);
  }
  return bytes;
}

// Collects tensors of a file in one type, keeping their memory until it is written.
class Writer {
 public:
  explicit Writer(DType dtype) : dtype_(dtype) {}

  void add(std::string name, const TensorView& values, std::vector<int64_t> shape) {
    const std::span<const float> from(values.as<float>(),
                                      static_cast<size_t>(values.shape.count()));
    io::TensorToStore tensor{std::move(name), "F32", std::move(shape), std::as_bytes(from)};
    if (dtype_ == DType::kBF16) {
      std::vector<uint16_t>& bits = rounded_.emplace_back(from.size());
      std::transform(from.begin(), from.end(), bits.begin(), bf16_from_float);
      tensor.dtype = "BF16";
      tensor.data = std::as_bytes(std::span(bits));
    }
    tensors_.push_back(std::move(tensor));
  }
  std::string file() const { return io::build_safetensors(tensors_, {{"format", "pt"}}); }

 private:
  DType dtype_;
  std::deque<std::vector<uint16_t>> rounded_;
  std::vector<io::TensorToStore> tensors_;
};

}  // namespace

int64_t Adapter::parameters() const {
  int64_t sum = 0;
  for (const AdapterModule& module : modules) {
    sum += module.a->shape.count() + module.b->shape.count();
    if (!module.magnitude->empty()) sum += module.magnitude->shape.count();
  }
  return sum;
}

std::string tensor_name(const std::string& module, std::string_view part) {
  return std::string(kPrefix) + module + std::string(part);
}

StoredAdapter open_adapter(io::FileSource& files, const AdapterLimits& limits) {
  const std::string config_where = files.where(kAdapterConfigFile);
  StoredAdapter adapter;
  adapter.config = parse_adapter_config(files.text(kAdapterConfigFile), config_where, limits);
  const ModuleRules rules(adapter.config, config_where, limits);
  const std::string where = files.where(kAdapterWeightsFile);
  const io::TensorMap tensors = io::parse_safetensors(
      weight_bytes(files, limits), where, {.header_bytes_max = kHeaderBytesMax, .rank_max = 2});
  for (const auto& [name, found] : sort_tensors(tensors, where, limits)) {
    check_complete(name, found, adapter.config, where);
    adapter.modules.push_back(read_module(name, found, rules));
  }
  return adapter;
}

void check_finite(const StoredAdapter& adapter, const std::string& where) {
  const auto check = [&](const StoredModule& module, std::string_view part,
                         const TensorView& values) {
    if (values.empty() || finite(values)) return;
    throw_error(ErrorCode::kDataLoss, where, "tensor '{}' has a number that is not finite",
                tensor_name(module.name, part));
  };
  for (const StoredModule& module : adapter.modules) {
    check(module, ".lora_A.weight", module.a);
    check(module, ".lora_B.weight", module.b);
    check(module, ".lora_magnitude_vector", module.magnitude);
  }
}

Adapter load_adapter(io::FileSource& files, const AdapterLimits& limits) {
  StoredAdapter stored = open_adapter(files, limits);
  check_finite(stored, files.where(kAdapterWeightsFile));
  Adapter adapter;
  adapter.config = std::move(stored.config);
  for (const StoredModule& from : stored.modules) {
    AdapterModule& module = adapter.modules.emplace_back();
    module.name = from.name;
    module.rank = from.rank;
    module.scale = from.scale;
    module.a = in_f32(from.a);
    module.b = in_f32(from.b);
    if (!from.magnitude.empty()) module.magnitude = in_f32(from.magnitude);
  }
  return adapter;
}

void save_adapter(const std::string& folder, const Adapter& adapter, DType dtype) {
  CHECK(dtype == DType::kF32 || dtype == DType::kBF16, "an adapter in {}", to_string(dtype));
  Writer writer(dtype);
  for (const AdapterModule& module : adapter.modules) {
    writer.add(tensor_name(module.name, ".lora_A.weight"), module.a, {module.rank, module.in()});
    writer.add(tensor_name(module.name, ".lora_B.weight"), module.b, {module.out(), module.rank});
    if (module.magnitude->empty()) continue;
    writer.add(tensor_name(module.name, ".lora_magnitude_vector"), module.magnitude,
               {module.out()});
  }
  io::write_file_atomic(folder + "/" + kAdapterWeightsFile, writer.file());
  io::write_file_atomic(folder + "/" + kAdapterConfigFile, to_json(adapter.config).dump(2) + "\n");
}

}  // namespace hearth::adapters
