#include "train/hf_files.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "io/file.h"
#include "io/file_source.h"
#include "io/json.h"
#include "io/safetensors.h"

namespace hearth::train {
namespace {

constexpr const char* kTokenizerFiles[] = {"tokenizer.json", "tokenizer_config.json",
                                           "special_tokens_map.json", "chat_template.jinja"};

void fill_f32(const io::StoredTensor& tensor, const std::string& name, float* out) {
  int64_t count = 1;
  for (int64_t dim : tensor.shape) count *= dim;
  if (tensor.dtype == "F32") {
    std::memcpy(out, tensor.data.data(), tensor.data.size());
  } else if (tensor.dtype == "BF16" || tensor.dtype == "F16") {
    const auto convert = tensor.dtype == "BF16" ? bf16_to_float : f16_to_float;
    for (int64_t i = 0; i < count; ++i) {
      uint16_t bits;
      std::memcpy(&bits, tensor.data.data() + 2 * i, 2);
      out[i] = convert(bits);
    }
  } else {
    throw_error(ErrorCode::kUnsupported, tensor.file,
                "tensor {} has type {}; expected F32, F16 or "
                "BF16",
                name, tensor.dtype);
  }
}

std::vector<int64_t> piece_shape(const Parameter& parameter, const ParameterPiece& piece) {
  if (parameter.kind == ParameterKind::kVector) return {parameter.cols};
  return {piece.rows, parameter.cols};
}

// The special tokens that a model's config names, read from tokenizer_config.json's names and
// tokenizer.json's ids.
void add_special_ids(const std::string& folder, io::Json& config, io::Json& generation) {
  const std::string settings_path = folder + "/tokenizer_config.json";
  if (!io::file_exists(settings_path)) return;
  const io::Json settings = io::load_json(settings_path);
  const io::Json tokenizer = io::load_json(folder + "/tokenizer.json");
  const auto id_of = [&](const char* key) -> io::Json {
    const auto it = settings.find(key);
    if (it == settings.end() || !it->is_string()) return nullptr;
    for (const io::Json& token : tokenizer.value("added_tokens", io::Json::array())) {
      if (token.value("content", std::string()) == it->get<std::string>()) return token["id"];
    }
    return nullptr;
  };
  for (const char* name : {"bos", "eos", "pad"}) {
    const io::Json id = id_of((std::string(name) + "_token").c_str());
    if (id.is_null()) continue;
    config[std::string(name) + "_token_id"] = id;
    generation[std::string(name) + "_token_id"] = id;
  }
}

}  // namespace

void load_weights(const std::string& folder, Parameters& parameters) {
  io::Folder files(folder);
  const io::TensorMap tensors = io::load_safetensors(files);
  std::set<std::string> used;
  for (size_t i = 0; i < parameters.list().size(); ++i) {
    const Parameter& parameter = parameters.list()[i];
    for (const ParameterPiece& piece : parameter.pieces) {
      const auto it = tensors.find(piece.name);
      if (it == tensors.end()) {
        throw_error(ErrorCode::kDataLoss, folder, "tensor {} is missing", piece.name);
      }
      const std::vector<int64_t> expected = piece_shape(parameter, piece);
      if (it->second.shape != expected) {
        throw_error(ErrorCode::kInvalidArgument, folder, "tensor {}: expected [{}], found [{}]",
                    piece.name, fmt::join(expected, ", "), fmt::join(it->second.shape, ", "));
      }
      fill_f32(it->second, piece.name, parameters.master(i).row<float>(piece.row_begin));
      used.insert(piece.name);
    }
  }
  for (const auto& [name, tensor] : tensors) {
    const bool derived = name.ends_with("rotary_emb.inv_freq") || name == "lm_head.weight";
    if (used.contains(name) || derived) continue;
    throw_error(ErrorCode::kUnsupported, tensor.file, "tensor {} has no place in this model", name);
  }
}

void save_model(const std::string& folder, Model& model, const SaveOptions& options) {
  std::filesystem::create_directories(folder);
  const Parameters& parameters = model.parameters();
  const bool narrow = options.dtype == DType::kBF16;
  std::vector<std::vector<uint16_t>> rounded;
  std::vector<io::TensorToStore> tensors;
  for (size_t i = 0; i < parameters.list().size(); ++i) {
    const Parameter& parameter = parameters.list()[i];
    for (const ParameterPiece& piece : parameter.pieces) {
      const auto count = static_cast<size_t>(piece.rows * parameter.cols);
      const std::span<const float> values(parameters.master(i).row<float>(piece.row_begin), count);
      io::TensorToStore tensor{piece.name, narrow ? "BF16" : "F32", piece_shape(parameter, piece),
                               std::as_bytes(values)};
      if (narrow) {
        std::vector<uint16_t>& bits = rounded.emplace_back(count);
        std::transform(values.begin(), values.end(), bits.begin(), bf16_from_float);
        tensor.data = std::as_bytes(std::span(bits));
      }
      tensors.push_back(std::move(tensor));
    }
  }
  io::Json config = model.config();
  config["torch_dtype"] = narrow ? "bfloat16" : "float32";
  io::Json generation = io::Json::object();
  if (!options.tokenizer.empty()) {
    for (const char* name : kTokenizerFiles) {
      const std::string from = options.tokenizer + "/" + name;
      if (io::file_exists(from)) io::write_file_atomic(folder + "/" + name, io::read_file(from));
    }
    add_special_ids(options.tokenizer, config, generation);
  }
  io::write_file_atomic(folder + "/config.json", config.dump(2) + "\n");
  io::write_file_atomic(folder + "/generation_config.json", generation.dump(2) + "\n");
  io::write_file_atomic(folder + "/model.safetensors",
                        io::build_safetensors(tensors, {{"format", "pt"}}));
}

}  // namespace hearth::train
