#include "train/adapter_gguf.h"

#include <charconv>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "io/json.h"
#include "models/gguf.h"

namespace hearth::train {
namespace {

using adapters::AdapterModule;
using models::GgufFamily;
using models::GgufRows;

struct Base {
  const GgufFamily* family = nullptr;
  int64_t heads = 0, kv_heads = 0;
};

Base read_base(const io::Json& config, const std::string& where) {
  const auto type = io::json_require<std::string>(config, "model_type", where);
  Base base;
  for (const GgufFamily& family : models::gguf_families()) {
    if (type == family.model_type) base.family = &family;
  }
  if (base.family == nullptr) {
    throw_error(ErrorCode::kUnsupported, where, "GGUF files of model_type '{}' are not written",
                type);
  }
  const char* heads = type == "gpt2" ? "n_head" : "num_attention_heads";
  base.heads = io::json_require<int64_t>(config, heads, where);
  base.kv_heads = io::json_get(config, "num_key_value_heads", base.heads, where);
  return base;
}

// "blk.3.attn_q.weight" of "model.layers.3.self_attn.q_proj".
std::string gguf_name(const GgufFamily& family, const std::string& module) {
  const std::string weight = module + ".weight";
  const size_t at = weight.find(family.layer);
  if (at != std::string::npos) {
    const char* number = weight.data() + at + std::string_view(family.layer).size();
    int64_t layer = 0;
    const auto [rest, error] = std::from_chars(number, weight.data() + weight.size(), layer);
    for (const models::GgufName& name : family.layered) {
      if (error == std::errc() && std::string_view(rest) == std::string(".") + name.hf) {
        return fmt::format("blk.{}.{}", layer, name.gguf);
      }
    }
  }
  for (const models::GgufName& name : family.whole) {
    if (weight == name.hf) return name.gguf;
  }
  throw_error(ErrorCode::kUnsupported, module, "GGUF has no name for this module of '{}'",
              family.model_type);
}

// order[i]: the row of the file that holds row i of B.
std::vector<int64_t> row_order(const Base& base, const AdapterModule& module) {
  const int64_t out = module.out();
  const bool q = module.name.ends_with("q_proj");
  const bool k = module.name.ends_with("k_proj");
  if (base.family->rows == GgufRows::kRotaryPairs && (q || k)) {
    const int64_t heads = q ? base.heads : base.kv_heads;
    return models::rotary_pair_order(heads, out / heads);
  }
  std::vector<int64_t> order(static_cast<size_t>(out));
  std::iota(order.begin(), order.end(), 0);
  if (!module.name.ends_with("query_key_value")) return order;
  // Head by head here; all of q, then k, then v in the file.
  const int64_t width = out / (3 * base.heads);
  for (int64_t i = 0; i < out; ++i) {
    const int64_t head = i / (3 * width);
    const int64_t part = i / width % 3;
    order[static_cast<size_t>(i)] = (part * base.heads + head) * width + i % width;
  }
  return order;
}

// B in the file's order. The file has one alpha for all modules and divides it by each rank; what
// rank patterns and rsLoRA make of a scale besides goes into B.
std::vector<float> rows_of_b(const Base& base, const AdapterModule& module, double alpha) {
  const std::vector<int64_t> order = row_order(base, module);
  const auto factor = static_cast<float>(module.scale * static_cast<double>(module.rank) / alpha);
  std::vector<float> rows(static_cast<size_t>(module.out() * module.rank));
  for (int64_t i = 0; i < module.out(); ++i) {
    float* to = rows.data() + order[static_cast<size_t>(i)] * module.rank;
    for (int64_t r = 0; r < module.rank; ++r) to[r] = factor * module.b->row<float>(i)[r];
  }
  return rows;
}

void add_matrix(io::GgufWriter& writer, const std::string& name, int64_t rows, int64_t cols,
                std::vector<float> values) {
  const std::vector<int64_t> shape = {rows, cols};
  writer.tensor(name, *io::gguf_type("F32"), shape,
                [values = std::move(values)](const io::GgufWriter::Sink& sink) {
                  sink(std::as_bytes(std::span(values)));
                });
}

}  // namespace

void export_adapter_gguf(const adapters::Adapter& adapter, const io::Json& config,
                         const std::string& where, io::GgufWriter& writer) {
  if (adapter.config.use_dora) {
    throw_error(ErrorCode::kUnsupported, "use_dora",
                "GGUF adapters have no magnitudes; merge the adapter and export the model");
  }
  const Base base = read_base(config, where);
  const double alpha = adapter.config.lora_alpha == 0 ? 1 : adapter.config.lora_alpha;
  writer.text("general.type", "adapter");
  writer.text("general.architecture", base.family->arch);
  writer.text("adapter.type", "lora");
  writer.number("adapter.lora.alpha", static_cast<float>(alpha));
  for (const AdapterModule& module : adapter.modules) {
    const std::string name = gguf_name(*base.family, module.name);
    const float* a = module.a->as<float>();
    add_matrix(writer, name + ".lora_a", module.rank, module.in(),
               {a, a + module.a->shape.count()});
    add_matrix(writer, name + ".lora_b", module.out(), module.rank, rows_of_b(base, module, alpha));
  }
}

}  // namespace hearth::train
