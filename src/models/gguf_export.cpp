#include "models/gguf_export.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "models/config.h"
#include "models/gguf.h"
#include "models/internal/gguf_keys.h"
#include "models/model.h"
#include "ops/quantize.h"

namespace hearth::models {
namespace {

const GgufFamily& family_of_config(const Config& config) {
  const std::string type = config.outer_text("model_type");
  const std::vector<std::string> architectures = config.texts("architectures");
  std::string known;
  for (const GgufFamily& family : gguf_families()) {
    const bool named =
        std::any_of(architectures.begin(), architectures.end(),
                    [&](const std::string& name) { return name == family.architecture; });
    if (type == family.model_type || named || (type == "gemma3" && family.arch == type)) {
      return family;
    }
    known += known.empty() ? "" : ", ";
    known += family.model_type;
  }
  config.refuse(fmt::format("model_type '{}' has no GGUF form here; exported are {}", type, known));
}

// A stored matrix with its rows as the format has them, read as f32.
struct Rows {
  int64_t count = 0;
  int64_t width = 0;
  std::function<void(int64_t row, float* y)> read;
};

class TensorWriter {
 public:
  TensorWriter(io::TensorMap tensors, const GgufFamily& family, const Model& model,
               const GgufExportOptions& options, io::GgufWriter& out)
      : tensors_(std::move(tensors)),
        family_(family),
        info_(model.info),
        options_(options),
        out_(out) {
    find_root();
    head_is_tied_ = std::none_of(model.parameters.begin(), model.parameters.end(),
                                 [](const Parameter& p) { return p.part == Part::kHead; });
  }

  void write() {
    for (const GgufName& name : family_.whole) add(name.gguf, name.hf, name.gguf);
    for (int64_t layer = 0; layer < info_.layers; ++layer) {
      for (const GgufName& name : family_.layered) {
        add(fmt::format("blk.{}.{}", layer, name.gguf),
            fmt::format("{}{}.{}", family_.layer, layer, name.hf), name.gguf);
      }
    }
  }

 private:
  // Files that leave out or nest the prefix of the common names.
  void find_root() {
    const std::string anchor = family_.whole.front().hf;
    const size_t dot = anchor.find('.') + 1;
    from_ = anchor.substr(0, dot);
    for (const std::string& root : {from_, std::string(), std::string("language_model.model."),
                                    std::string("model.language_model.")}) {
      if (!tensors_.contains(root + anchor.substr(dot))) continue;
      to_ = root;
      return;
    }
  }

  const io::StoredTensor* find(const std::string& hf) const {
    const bool below = hf.starts_with(from_);
    const auto it = tensors_.find(below ? to_ + hf.substr(from_.size()) : hf);
    return it == tensors_.end() ? nullptr : &it->second;
  }

  static DType dtype_of(const io::StoredTensor& stored) {
    if (stored.dtype == "F32") return DType::kF32;
    return stored.dtype == "F16" ? DType::kF16 : DType::kBF16;
  }

  // The model was loaded before: shapes and types are what its family asks for.
  void add(const std::string& name, const std::string& hf, std::string_view kind) {
    const io::StoredTensor* stored = find(hf);
    const bool head = kind.starts_with("output.");
    if (stored == nullptr || (head && head_is_tied_)) return;
    if (stored->shape.size() == 1) {
      add_vector(name, *stored, kind);
    } else {
      add_matrix(name, *stored, kind);
    }
  }

  std::vector<int64_t> order_of(std::string_view kind, int64_t rows) const {
    const auto turned = [&](int64_t heads) {
      const std::vector<int64_t> order = rotary_pair_order(heads, info_.head_dim);
      std::vector<int64_t> back(order.size());
      for (size_t i = 0; i < order.size(); ++i) {
        back[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
      }
      return back;
    };
    if (family_.rows == GgufRows::kRotaryPairs && kind.starts_with("attn_q.")) {
      return turned(info_.heads);
    }
    if (family_.rows == GgufRows::kRotaryPairs && kind.starts_with("attn_k.")) {
      return turned(info_.kv_heads);
    }
    std::vector<int64_t> order(static_cast<size_t>(rows));
    for (int64_t i = 0; i < rows; ++i) order[static_cast<size_t>(i)] = i;
    if (family_.model_type == std::string_view("gpt_neox") && kind.starts_with("attn_qkv.")) {
      const int64_t width = info_.head_dim;
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t part = i / (info_.heads * width), head = i / width % info_.heads;
        order[static_cast<size_t>(i)] = (head * 3 + part) * width + i % width;
      }
    }
    return order;
  }

  static std::vector<float> values_of(const io::StoredTensor& stored) {
    const DType dtype = dtype_of(stored);
    const auto n = static_cast<int64_t>(stored.data.size() / dtype_bytes(dtype));
    std::vector<float> values(static_cast<size_t>(n));
    read_values(stored.data.data(), dtype, n, values.data());
    return values;
  }

  // From any address.
  static void read_values(const std::byte* from, DType dtype, int64_t n, float* y) {
    if (dtype == DType::kF32) {
      std::memcpy(y, from, static_cast<size_t>(n) * sizeof(float));
      return;
    }
    std::vector<uint16_t> bits(static_cast<size_t>(n));
    std::memcpy(bits.data(), from, bits.size() * sizeof(uint16_t));
    const ops::QuantizeKernels& kernels = ops::kQuantizePlain;
    (dtype == DType::kF16 ? kernels.widen_f16 : kernels.widen_bf16)(bits.data(), n, y);
  }

  void add_vector(const std::string& name, const io::StoredTensor& stored, std::string_view kind) {
    const bool whole_norm =
        family_.norms == GgufNorms::kWhole && kind.find("norm.") != std::string_view::npos;
    out_.tensor(name, *io::gguf_type("F32"), stored.shape,
                [stored, whole_norm,
                 order = order_of(kind, stored.shape.front())](const io::GgufWriter::Sink& sink) {
                  const std::vector<float> from = values_of(stored);
                  std::vector<float> values(from.size());
                  for (size_t i = 0; i < values.size(); ++i) {
                    values[i] = from[static_cast<size_t>(order[i])] + (whole_norm ? 1.0f : 0.0f);
                  }
                  sink(std::as_bytes(std::span(values)));
                });
  }

  bool transposed(std::string_view kind) const {
    return family_.model_type == std::string_view("gpt2") && !kind.starts_with("token_embd") &&
           !kind.starts_with("position_embd") && !kind.starts_with("output");
  }

  Rows rows_of(const io::StoredTensor& stored, std::string_view kind) const {
    const DType dtype = dtype_of(stored);
    if (transposed(kind)) {
      const int64_t in = stored.shape[0], out = stored.shape[1];
      return {out, in,
              [stored, in, out, values = std::vector<float>()](int64_t row, float* y) mutable {
                if (row == 0) values = values_of(stored);
                for (int64_t i = 0; i < in; ++i) y[i] = values[static_cast<size_t>(i * out + row)];
              }};
    }
    const int64_t count = stored.shape[0], width = stored.shape[1];
    const size_t row_bytes = static_cast<size_t>(width) * dtype_bytes(dtype);
    return {
        count, width,
        [stored, dtype, width, row_bytes, order = order_of(kind, count)](int64_t row, float* y) {
          const auto at = static_cast<size_t>(order[static_cast<size_t>(row)]) * row_bytes;
          read_values(stored.data.data() + at, dtype, width, y);
        }};
  }

  GgufExportType type_of(const io::StoredTensor& stored, std::string_view kind,
                         int64_t width) const {
    GgufExportType type = options_.type;
    if (type == GgufExportType::kAsStored) {
      const DType dtype = dtype_of(stored);
      type = dtype == DType::kF32   ? GgufExportType::kF32
             : dtype == DType::kF16 ? GgufExportType::kF16
                                    : GgufExportType::kBF16;
    }
    if (kind.starts_with("position_embd")) return GgufExportType::kF32;
    const bool blocks = type == GgufExportType::kQ8_0 || type == GgufExportType::kQ4_0;
    if (blocks && width % ops::kQuantGroup != 0) return GgufExportType::kF16;
    const bool head =
        kind.starts_with("output.") || (kind.starts_with("token_embd") && head_is_tied_);
    return head && type == GgufExportType::kQ4_0 ? GgufExportType::kQ8_0 : type;
  }

  void add_matrix(const std::string& name, const io::StoredTensor& stored, std::string_view kind) {
    const Rows rows = rows_of(stored, kind);
    const GgufExportType type = type_of(stored, kind, rows.width);
    const int64_t shape[] = {rows.count, rows.width};
    out_.tensor(name, *io::gguf_type(type_name(type)), shape,
                [rows, type](const io::GgufWriter::Sink& sink) { write_rows(rows, type, sink); });
  }

  static const char* type_name(GgufExportType type) {
    switch (type) {
      case GgufExportType::kF16:
        return "F16";
      case GgufExportType::kBF16:
        return "BF16";
      case GgufExportType::kQ8_0:
        return "Q8_0";
      case GgufExportType::kQ4_0:
        return "Q4_0";
      default:
        return "F32";
    }
  }

  static void write_rows(const Rows& rows, GgufExportType type, const io::GgufWriter::Sink& sink) {
    const auto width = static_cast<size_t>(rows.width);
    std::vector<float> values(width);
    std::vector<uint16_t> halves(width);
    for (int64_t row = 0; row < rows.count; ++row) {
      rows.read(row, values.data());
      switch (type) {
        case GgufExportType::kF16:
        case GgufExportType::kBF16:
          for (size_t i = 0; i < width; ++i) {
            halves[i] = type == GgufExportType::kF16 ? f16_from_float(values[i])
                                                     : bf16_from_float(values[i]);
          }
          sink(std::as_bytes(std::span(halves)));
          break;
        case GgufExportType::kQ8_0:
        case GgufExportType::kQ4_0:
          write_blocks(values, type, sink);
          break;
        default:
          sink(std::as_bytes(std::span(values)));
      }
    }
  }

  static void write_blocks(const std::vector<float>& values, GgufExportType type,
                           const io::GgufWriter::Sink& sink) {
    const auto groups = static_cast<int64_t>(values.size()) / ops::kQuantGroup;
    std::vector<int8_t> levels(values.size());
    std::vector<uint16_t> scales(static_cast<size_t>(groups));
    const ops::QuantizeKernels& kernels = ops::kQuantizePlain;
    bool finite;
    if (type == GgufExportType::kQ8_0) {
      finite = kernels.q8(values.data(), groups, levels.data(), scales.data());
    } else {
      const std::vector<float> alike(values.size(), 1.0f);
      finite = kernels.q4(values.data(), alike.data(), groups, levels.data(), scales.data());
    }
    if (!finite) {
      throw_error(ErrorCode::kDataLoss, "export",
                  "a weight is not a finite number, or too large for a scale in f16; take --type "
                  "f32");
    }
    std::vector<std::byte> blocks;
    for (int64_t g = 0; g < groups; ++g) {
      ops::append_block(
          type == GgufExportType::kQ8_0 ? ops::BlockFormat::kQ8_0 : ops::BlockFormat::kQ4_0,
          levels.data() + g * ops::kQuantGroup, scales[static_cast<size_t>(g)], blocks);
    }
    sink(blocks);
  }

  const io::TensorMap tensors_;
  const GgufFamily& family_;
  const ModelInfo& info_;
  const GgufExportOptions& options_;
  io::GgufWriter& out_;
  bool head_is_tied_ = false;
  std::string from_;  // what the common names begin with
  std::string to_;    // ... and those of this file
};

// general.file_type: what most matrices are, by llama.cpp's numbers.
uint32_t file_type(GgufExportType type, DType stored) {
  switch (type) {
    case GgufExportType::kF32:
      return 0;
    case GgufExportType::kF16:
      return 1;
    case GgufExportType::kQ4_0:
      return 2;
    case GgufExportType::kQ8_0:
      return 7;
    case GgufExportType::kBF16:
      return 32;
    case GgufExportType::kAsStored:
      break;
  }
  return stored == DType::kF32 ? 0 : stored == DType::kF16 ? 1 : 32;
}

}  // namespace

ModelInfo export_gguf(io::FileSource& files, const GgufExportOptions& options,
                      io::GgufWriter& writer) {
  const std::string where = files.where(kConfigFile);
  const Config config(io::parse_json(files.text(kConfigFile), where), where);
  const GgufFamily& family = family_of_config(config);
  // Says what is wrong with the files before anything is written.
  const std::unique_ptr<Model> model = load(files);
  writer.text("general.architecture", family.arch);
  writer.text("general.type", "model");
  writer.text("general.name", options.name);
  writer.integer("general.file_type", file_type(options.type, model->info.dtype));
  writer.integer("general.quantization_version", 2);
  write_gguf_keys(config, family, model->info, writer);
  TensorWriter(io::load_safetensors(files), family, *model, options, writer).write();
  return model->info;
}

}  // namespace hearth::models
