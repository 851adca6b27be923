#include "train/hf_files.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "io/file.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "ops/quantize.h"
#include "train/piece_layout.h"

namespace hearth::train {
namespace {

constexpr const char* kTokenizerFiles[] = {"tokenizer.json", "tokenizer_config.json",
                                           "special_tokens_map.json", "chat_template.jinja"};

int64_t count_of(const io::StoredTensor& tensor) {
  int64_t count = 1;
  for (int64_t dim : tensor.shape) count *= dim;
  return count;
}

// out[count] as f32.
void read_f32(const io::StoredTensor& tensor, const std::string& name, float* out) {
  if (tensor.dtype == "F32") {
    std::memcpy(out, tensor.data.data(), tensor.data.size());
  } else if (tensor.dtype == "BF16" || tensor.dtype == "F16") {
    const auto convert = tensor.dtype == "BF16" ? bf16_to_float : f16_to_float;
    for (int64_t i = 0; i < count_of(tensor); ++i) {
      uint16_t bits;
      std::memcpy(&bits, tensor.data.data() + 2 * i, 2);
      out[i] = convert(bits);
    }
  } else {
    throw_error(ErrorCode::kUnsupported, tensor.file,
                "tensor {} has type {}; expected F32, F16 or BF16", name, tensor.dtype);
  }
}

// A piece in our order; out [rows, cols].
void read_piece(const io::StoredTensor& tensor, const Parameter& parameter,
                const ParameterPiece& piece, float* out) {
  if (piece.layout == PieceLayout::kRows) return read_f32(tensor, piece.name, out);
  std::vector<float> file(static_cast<size_t>(count_of(tensor)));
  read_f32(tensor, piece.name, file.data());
  from_file_order(parameter, piece, file.data(), out);
}

// The tensors of a directory, and which of them found a place.
class Tensors {
 public:
  explicit Tensors(io::FileSource& files)
      : where_(files.where("model.safetensors")), tensors_(io::load_safetensors(files)) {}

  const io::StoredTensor& find(const Parameter& parameter, const ParameterPiece& piece) {
    const auto it = find_name(piece.name);
    if (it == tensors_.end()) {
      throw_error(ErrorCode::kDataLoss, where_, "tensor {} is missing", piece.name);
    }
    const std::vector<int64_t> expected = file_shape(parameter, piece);
    if (it->second.shape != expected) {
      throw_error(ErrorCode::kInvalidArgument, it->second.file,
                  "tensor {}: expected [{}], found [{}]", it->first, fmt::join(expected, ", "),
                  fmt::join(it->second.shape, ", "));
    }
    used_.insert(it->first);
    return it->second;
  }

  // Buffers, and a tied head that was written all the same, have no place and need none.
  void check_all_used() const {
    constexpr std::string_view kDerived[] = {
        "rotary_emb.inv_freq",   "attn.bias",      "attn.masked_bias", "attention.bias",
        "attention.masked_bias", "lm_head.weight", "embed_out.weight"};
    for (const auto& [name, tensor] : tensors_) {
      const std::string_view view = name;
      const bool derived = std::any_of(std::begin(kDerived), std::end(kDerived),
                                       [&](std::string_view end) { return view.ends_with(end); });
      if (used_.contains(name) || derived) continue;
      throw_error(ErrorCode::kUnsupported, tensor.file, "tensor {} has no place in this model",
                  name);
    }
  }

 private:
  // Some files leave out the name of the model's outer module, or put it inside another.
  io::TensorMap::const_iterator find_name(const std::string& name) const {
    const std::string inner = name.substr(name.find('.') + 1);
    for (const std::string& candidate :
         {name, inner, "language_model." + name, "model.language_model." + inner}) {
      const auto it = tensors_.find(candidate);
      if (it != tensors_.end()) return it;
    }
    return tensors_.end();
  }

  std::string where_;
  io::TensorMap tensors_;
  std::set<std::string> used_;
};

void load_trained(Tensors& tensors, WeightId id, ModelWeights& weights) {
  const Parameter& parameter = weights.shape(id);
  for (const ParameterPiece& piece : parameter.pieces) {
    read_piece(tensors.find(parameter, piece), parameter, piece,
               weights.parameters.master(id.index).row<float>(piece.row_begin));
  }
}

ops::Weight own_weight(DType dtype, int64_t rows, int64_t cols) {
  ops::Weight weight;
  weight.owned = Buffer(static_cast<size_t>(rows * cols) * dtype_bytes(dtype));
  const TensorView matrix(weight.owned.data(), dtype, {rows, cols});
  weight.format = ops::weight_format(dtype);
  weight.out = rows;
  weight.in = cols;
  weight.matrix = matrix;
  return weight;
}

// A matrix that stays as it is: in the file where that holds rows of the compute type, else a copy.
ops::Weight frozen_matrix(const io::StoredTensor& tensor, const Parameter& parameter,
                          const ParameterPiece& piece, DType compute) {
  const char* in_place = compute == DType::kBF16 ? "BF16" : "F32";
  const bool aligned = reinterpret_cast<uintptr_t>(tensor.data.data()) % dtype_bytes(compute) == 0;
  if (piece.layout == PieceLayout::kRows && tensor.dtype == in_place && aligned) {
    // Kernels only read it.
    auto* data = const_cast<std::byte*>(tensor.data.data());
    return ops::weight_view(TensorView(data, compute, {piece.rows, parameter.cols}));
  }
  std::vector<float> values(static_cast<size_t>(piece.rows * parameter.cols));
  read_piece(tensor, parameter, piece, values.data());
  ops::Weight weight = own_weight(compute, piece.rows, parameter.cols);
  if (compute == DType::kF32) {
    std::memcpy(weight.matrix.data, values.data(), values.size() * sizeof(float));
  } else {
    std::transform(values.begin(), values.end(), weight.matrix.as<uint16_t>(), bf16_from_float);
  }
  return weight;
}

// Projections become the format asked for, the head 8 bits, tables stay.
ops::Weight quantized(ops::Weight weight, const Parameter& parameter, const ParameterPiece& piece,
                      const LoadWeightsOptions& options) {
  const bool head = piece.name == "lm_head.weight" || piece.name == "embed_out.weight";
  const bool table = parameter.kind == ParameterKind::kEmbedding && !head;
  if (options.quantize == models::Quantize::kNone || table) return weight;
  const bool q4 = options.quantize == models::Quantize::kQ4 && !head;
  return ops::quantize(weight.matrix, q4 ? ops::WeightFormat::kQ4 : ops::WeightFormat::kQ8,
                       options.threads, piece.name.c_str());
}

void load_frozen(Tensors& tensors, FrozenParameter& frozen, DType compute,
                 const LoadWeightsOptions& options) {
  const Parameter& parameter = frozen.shape;
  frozen.pieces.clear();
  if (parameter.kind == ParameterKind::kVector) {
    frozen.vector = Tensor(DType::kF32, {parameter.count()});
    for (const ParameterPiece& piece : parameter.pieces) {
      read_piece(tensors.find(parameter, piece), parameter, piece,
                 frozen.vector->as<float>() + piece.row_begin * parameter.cols);
    }
    return;
  }
  for (const ParameterPiece& piece : parameter.pieces) {
    const io::StoredTensor& tensor = tensors.find(parameter, piece);
    frozen.pieces.push_back(
        quantized(frozen_matrix(tensor, parameter, piece, compute), parameter, piece, options));
  }
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

void load_weights(std::shared_ptr<io::FileSource> files, Model& model,
                  const LoadWeightsOptions& options) {
  ModelWeights& weights = model.weights();
  Tensors tensors(*files);
  for (WeightId id : weights.own()) {
    if (ModelWeights::trained(id)) {
      load_trained(tensors, id, weights);
    } else {
      load_frozen(tensors, weights.frozen[id.index], weights.parameters.compute_type(), options);
    }
  }
  tensors.check_all_used();
  weights.files = std::move(files);
}

void load_weights(const std::string& folder, Model& model, const LoadWeightsOptions& options) {
  load_weights(std::make_shared<io::Folder>(folder), model, options);
}

void save_model(const std::string& folder, Model& model, const SaveOptions& options) {
  std::filesystem::create_directories(folder);
  const ModelWeights& weights = model.weights();
  const bool narrow = options.dtype == DType::kBF16;
  std::vector<std::vector<uint16_t>> rounded;
  std::vector<std::vector<float>> whole;
  std::vector<io::TensorToStore> tensors;
  for (WeightId id : weights.own()) {
    CHECK(ModelWeights::trained(id), "a frozen model is saved");
    const Parameter& parameter = weights.shape(id);
    for (const ParameterPiece& piece : parameter.pieces) {
      std::vector<float> values = in_file_order(
          parameter, piece, weights.parameters.master(id.index).row<float>(piece.row_begin));
      io::TensorToStore tensor{
          piece.name, narrow ? "BF16" : "F32", file_shape(parameter, piece), {}};
      if (narrow) {
        std::vector<uint16_t>& bits = rounded.emplace_back(values.size());
        std::transform(values.begin(), values.end(), bits.begin(), bf16_from_float);
        tensor.data = std::as_bytes(std::span(bits));
      } else {
        tensor.data = std::as_bytes(std::span(whole.emplace_back(std::move(values))));
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
