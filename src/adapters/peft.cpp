#include "adapters/peft.h"

#include <algorithm>
#include <cmath>
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

std::string key_of(const std::string& module, std::string_view suffix) {
  return std::string(kPrefix) + module + std::string(suffix);
}

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

void read_f32(const io::StoredTensor& tensor, const std::string& name, std::span<float> to) {
  const std::byte* from = tensor.data.data();
  if (tensor.dtype == "F32") {
    std::memcpy(to.data(), from, tensor.data.size());
  } else if (tensor.dtype == "BF16" || tensor.dtype == "F16") {
    const auto convert = tensor.dtype == "BF16" ? bf16_to_float : f16_to_float;
    for (float& value : to) {
      uint16_t bits = 0;
      std::memcpy(&bits, from, sizeof bits);
      value = convert(bits);
      from += sizeof bits;
    }
  } else {
    throw_error(ErrorCode::kUnsupported, tensor.file,
                "tensor '{}' is {}; supported are F32, F16 and BF16", name, tensor.dtype);
  }
  for (float value : to) {
    if (!std::isfinite(value)) damaged(tensor, name, "has a number that is not finite");
  }
}

Tensor matrix(const io::StoredTensor* tensor, const std::string& name) {
  if (tensor->shape.size() != 2 || tensor->shape[0] <= 0 || tensor->shape[1] <= 0) {
    damaged(*tensor, name,
            fmt::format("has the shape [{}]; expected a matrix", fmt::join(tensor->shape, ", ")));
  }
  Tensor values(DType::kF32, {tensor->shape[0], tensor->shape[1]});
  read_f32(*tensor, name, {values->as<float>(), static_cast<size_t>(values->shape.count())});
  return values;
}

// [out]; PEFT once stored it as a column.
Tensor magnitude_vector(const io::StoredTensor* tensor, const std::string& name, int64_t out) {
  const std::vector<int64_t> row = {out};
  const std::vector<int64_t> column = {out, 1};
  if (tensor->shape != row && tensor->shape != column) {
    damaged(*tensor, name,
            fmt::format("has the shape [{}]; the module has {} outputs",
                        fmt::join(tensor->shape, ", "), out));
  }
  Tensor values(DType::kF32, {out});
  read_f32(*tensor, name, {values->as<float>(), static_cast<size_t>(out)});
  return values;
}

void check_complete(const std::string& module, const Found& found, const AdapterConfig& config,
                    const std::string& where) {
  const auto missing = [&](std::string_view suffix) {
    throw_error(ErrorCode::kDataLoss, where, "tensor '{}' is missing", key_of(module, suffix));
  };
  if (found.a == nullptr) missing(".lora_A.weight");
  if (found.b == nullptr) missing(".lora_B.weight");
  if (config.use_dora && found.magnitude == nullptr) missing(".lora_magnitude_vector");
  if (!config.use_dora && found.magnitude != nullptr) {
    throw_error(ErrorCode::kDataLoss, where,
                "tensor '{}' is there, and {} says use_dora false; they belong to different "
                "adapters",
                key_of(module, ".lora_magnitude_vector"), kAdapterConfigFile);
  }
}

AdapterModule read_module(const std::string& name, const Found& found, const ModuleRules& rules) {
  AdapterModule module;
  module.name = name;
  module.rank = rules.rank(name);
  module.scale = rules.scale(name);
  module.a = matrix(found.a, key_of(name, ".lora_A.weight"));
  module.b = matrix(found.b, key_of(name, ".lora_B.weight"));
  if (module.a->rows() != module.rank || module.b->cols() != module.rank) {
    throw_error(ErrorCode::kDataLoss, found.a->file,
                "module '{}': lora_A {} and lora_B {} must share the rank {} that {} says", name,
                module.a->shape.to_string(), module.b->shape.to_string(), module.rank,
                kAdapterConfigFile);
  }
  if (found.magnitude != nullptr) {
    module.magnitude =
        magnitude_vector(found.magnitude, key_of(name, ".lora_magnitude_vector"), module.out());
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

Adapter load_adapter(io::FileSource& files, const AdapterLimits& limits) {
  const std::string config_where = files.where(kAdapterConfigFile);
  Adapter adapter;
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

void save_adapter(const std::string& folder, const Adapter& adapter, DType dtype) {
  CHECK(dtype == DType::kF32 || dtype == DType::kBF16, "an adapter in {}", to_string(dtype));
  Writer writer(dtype);
  for (const AdapterModule& module : adapter.modules) {
    writer.add(key_of(module.name, ".lora_A.weight"), module.a, {module.rank, module.in()});
    writer.add(key_of(module.name, ".lora_B.weight"), module.b, {module.out(), module.rank});
    if (module.magnitude->empty()) continue;
    writer.add(key_of(module.name, ".lora_magnitude_vector"), module.magnitude, {module.out()});
  }
  io::write_file_atomic(folder + "/" + kAdapterWeightsFile, writer.file());
  io::write_file_atomic(folder + "/" + kAdapterConfigFile, to_json(adapter.config).dump(2) + "\n");
}

}  // namespace hearth::adapters
