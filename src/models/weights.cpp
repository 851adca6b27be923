#include "models/weights.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "models/packed.h"
#include "ops/quantize.h"

namespace hearth::models {
namespace {

std::string shape_text(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::optional<DType> dtype_of(const io::StoredTensor& tensor) {
  if (tensor.dtype == "F32") return DType::kF32;
  if (tensor.dtype == "F16") return DType::kF16;
  if (tensor.dtype == "BF16") return DType::kBF16;
  return std::nullopt;
}

[[noreturn]] void refuse_dtype(const io::StoredTensor& tensor, const std::string& name) {
  if (tensor.file.ends_with(".gguf")) {
    throw_error(ErrorCode::kUnsupported, tensor.file,
                "tensor '{}' is {}, which is not read here; take the same model as Q4_K_M, Q5_K_M, "
                "Q6_K, Q8_0 or BF16",
                name, tensor.dtype);
  }
  throw_error(ErrorCode::kUnsupported, tensor.file,
              "tensor '{}' is {}; supported are F32, F16 and BF16", name, tensor.dtype);
}

float element(const std::byte* data, DType dtype, int64_t i) {
  if (dtype == DType::kF32) {
    float value = 0;
    std::memcpy(&value, data + i * 4, 4);
    return value;
  }
  uint16_t bits = 0;
  std::memcpy(&bits, data + i * 2, 2);
  return dtype == DType::kF16 ? f16_to_float(bits) : bf16_to_float(bits);
}

// A weight that owns its matrix, filled by the caller.
ops::Weight owned_weight(DType dtype, int64_t out, int64_t in) {
  Buffer memory(static_cast<size_t>(out * in) * dtype_bytes(dtype));
  ops::Weight weight = ops::weight_view({memory.data(), dtype, {out, in}});
  weight.owned = std::move(memory);
  return weight;
}

bool aligned(const std::byte* data, DType dtype) {
  return reinterpret_cast<uintptr_t>(data) % dtype_bytes(dtype) == 0;
}

// The rule of models::Quantize; nothing: as stored.
std::optional<ops::WeightFormat> quantized_format(Quantize quantize, Part part) {
  if (quantize == Quantize::kNone || part == Part::kEmbedding || part == Part::kNorm) return {};
  const bool eight = quantize == Quantize::kQ8 || part == Part::kHead;
  return eight ? ops::WeightFormat::kQ8 : ops::WeightFormat::kQ4;
}

template <typename T>
void transpose(const T* from, int64_t rows, int64_t cols, T* to) {
  constexpr int64_t kTile = 64;  // a tile of both sides stays in the first-level cache
  for (int64_t r0 = 0; r0 < rows; r0 += kTile) {
    for (int64_t c0 = 0; c0 < cols; c0 += kTile) {
      for (int64_t r = r0; r < std::min(rows, r0 + kTile); ++r) {
        for (int64_t c = c0; c < std::min(cols, c0 + kTile); ++c) {
          to[c * rows + r] = from[r * cols + c];
        }
      }
    }
  }
}

// The transpose of data [in, out]. The copy is byte for byte, so an element is moved as an integer
// of its width. An odd address is read through an aligned copy.
ops::Weight transposed(std::span<const std::byte> data, DType dtype, int64_t out, int64_t in) {
  ops::Weight weight = owned_weight(dtype, out, in);
  Buffer straight;
  const void* from = data.data();
  if (!aligned(data.data(), dtype)) {
    straight = Buffer(data.size());
    std::memcpy(straight.data(), from, data.size());
    from = straight.data();
  }
  if (dtype_bytes(dtype) == sizeof(uint32_t)) {
    transpose(static_cast<const uint32_t*>(from), in, out,
              static_cast<uint32_t*>(weight.owned.data()));
  } else {
    transpose(static_cast<const uint16_t*>(from), in, out,
              static_cast<uint16_t*>(weight.owned.data()));
  }
  return weight;
}

int64_t element_count(std::span<const int64_t> shape) {
  int64_t count = 1;
  for (int64_t dim : shape) count *= dim;
  return count;
}

}  // namespace

Weights::Weights(io::TensorMap tensors, std::string where, const LoadOptions& options,
                 const Progress& progress, Layout layout)
    : tensors_(std::move(tensors)),
      where_(std::move(where)),
      options_(options),
      layout_(std::move(layout)),
      progress_(progress) {
  for (const auto& [name, tensor] : tensors_) total_ += static_cast<int64_t>(tensor.data.size());
}

void Weights::find_root(const std::string& anchor, std::initializer_list<const char*> prefixes) {
  std::string tried;
  for (const char* prefix : prefixes) {
    if (tensors_.contains(prefix + anchor)) {
      root_ = prefix;
      return;
    }
    tried += (tried.empty() ? "'" : ", '") + (prefix + anchor) + "'";
  }
  throw_error(ErrorCode::kDataLoss, where_, "tensor '{}' is missing (looked for {})", anchor,
              tried);
}

bool Weights::has(const std::string& name) const { return tensors_.contains(root_ + name); }

Weights::Found Weights::find(const std::string& name, std::initializer_list<int64_t> shape) const {
  const std::span<const int64_t> expected(shape.begin(), shape.size());
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) {
    throw_error(ErrorCode::kDataLoss, where_, "tensor '{}' {} is missing", name,
                shape_text(expected));
  }
  const io::StoredTensor& tensor = it->second;
  if (!std::equal(expected.begin(), expected.end(), tensor.shape.begin(), tensor.shape.end())) {
    throw_error(ErrorCode::kDataLoss, tensor.file,
                "tensor '{}' has the shape {}; config.json asks for {}", name,
                shape_text(tensor.shape), shape_text(expected));
  }
  Found found{name, DType::kBF16, ops::block_format(tensor.dtype), &tensor};
  if (found.blocks) return found;
  const auto dtype = dtype_of(tensor);
  if (!dtype) refuse_dtype(tensor, name);
  found.dtype = *dtype;
  return found;
}

void Weights::taken(const Found& found, Part part, int64_t bytes) {
  Parameter parameter;
  parameter.name = found.name;
  parameter.part = part;
  parameter.dtype = found.dtype;
  parameter.stored = found.stored->dtype;
  parameter.shape = found.stored->shape;
  parameter.count = element_count(found.stored->shape);
  parameter.bytes = bytes;
  taken(std::move(parameter), static_cast<int64_t>(found.stored->data.size()));
}

void Weights::taken(Parameter parameter, int64_t stored_bytes) {
  taken_.insert(parameter.name);
  parameters.push_back(std::move(parameter));
  done_ += stored_bytes;
  if (progress_) progress_(std::min(done_, total_), total_);
}

std::optional<ops::Weight> Weights::packed_before(Part part, const std::string& name, int64_t out,
                                                  int64_t in) {
  const ops::Weight* weight = options_.packed == nullptr ? nullptr : options_.packed->find(name);
  if (weight == nullptr) return std::nullopt;
  if (weight->out != out || weight->in != in) {
    throw_error(ErrorCode::kDataLoss, where_,
                "packed tensor '{}' has the shape [{}, {}]; config.json asks for [{}, {}]", name,
                weight->out, weight->in, out, in);
  }
  const auto stored = tensors_.find(name);
  Parameter parameter;
  parameter.name = name;
  parameter.part = part;
  parameter.dtype = DType::kBF16;
  parameter.stored =
      stored == tensors_.end() ? ops::to_string(weight->format) : stored->second.dtype;
  parameter.shape = {out, in};
  parameter.count = name == kTiedHead ? 0 : out * in;
  parameter.bytes = weight->bytes();
  taken(std::move(parameter),
        stored == tensors_.end() ? 0 : static_cast<int64_t>(stored->second.data.size()));
  ops::Weight view = ops::view_of(*weight);
  view.compute = options_.compute;
  return view;
}

ops::Weight Weights::quantized(const ops::RowSource& rows, ops::WeightFormat format,
                               const std::string& name) const {
  const std::string tensor = fmt::format("{}: tensor '{}'", where_, name);
  return ops::quantize(rows, format, {.threads = options_.threads, .kernels = options_.kernels},
                       tensor.c_str());
}

ops::Weight Weights::quantized(Part part, const std::string& name, ops::Weight weight) const {
  const auto format = quantized_format(options_.quantize, part);
  if (!format) return weight;
  return quantized(ops::rows_of(weight.matrix, *options_.kernels), *format, name);
}

ops::Weight Weights::as_stored(const Found& found, int64_t out, int64_t in, Order order) const {
  const auto data = found.stored->data;
  if (order.empty() && aligned(data.data(), found.dtype)) {
    // Kernels only read; views have one pointer type for both directions.
    return ops::weight_view({const_cast<std::byte*>(data.data()), found.dtype, {out, in}});
  }
  ops::Weight weight = owned_weight(found.dtype, out, in);
  const size_t row_bytes = static_cast<size_t>(in) * dtype_bytes(found.dtype);
  auto* to = static_cast<std::byte*>(weight.owned.data());
  for (int64_t o = 0; o < out; ++o, to += row_bytes) {
    const int64_t row = order.empty() ? o : order[static_cast<size_t>(o)];
    std::memcpy(to, data.data() + static_cast<size_t>(row) * row_bytes, row_bytes);
  }
  return weight;
}

// A matrix that has fewer bits than asked for, or as many, stays as it is. Arithmetic in f32 wants
// every weight widened.
ops::Weight Weights::of_blocks(Part part, const Found& found, int64_t out, int64_t in,
                               Order order) const {
  const ops::BlockMatrix blocks{*found.blocks, found.stored->data.data(), out, in, order};
  const auto asked = quantized_format(options_.quantize, part);
  const auto exact = ops::exact_format(blocks.format);
  const ops::RowSource rows{out, in, [blocks](int64_t o, float* y) {
                              ops::widen_blocks(blocks.format, blocks.row(o), blocks.in, y);
                            }};
  if (!asked && options_.compute == ops::ComputeType::kF32) {
    ops::Weight weight = owned_weight(DType::kF32, out, in);
    for (int64_t o = 0; o < out; ++o) rows.read(o, weight.matrix.row<float>(o));
    return weight;
  }
  if (asked == ops::WeightFormat::kQ4 && exact != asked) {
    return quantized(rows, *asked, found.name);
  }
  const std::string tensor = fmt::format("{}: tensor '{}'", where_, found.name);
  if (exact) return ops::repack(blocks, options_.threads, tensor.c_str());
  return quantized(rows, ops::WeightFormat::kQ8, found.name);
}

ops::Weight Weights::made(Part part, const Found& found, ops::Weight weight) {
  weight.compute = options_.compute;
  if (ops::quantized(weight.format)) packed.push_back({found.name, ops::view_of(weight)});
  taken(found, part, weight.bytes());
  return weight;
}

ops::Weight Weights::matrix(Part part, const std::string& name, int64_t out, int64_t in,
                            Order order) {
  if (auto before = packed_before(part, name, out, in)) return std::move(*before);
  const Found found = find(name, {out, in});
  return made(part, found,
              found.blocks ? of_blocks(part, found, out, in, order)
                           : quantized(part, name, as_stored(found, out, in, order)));
}

Tensor Weights::vector(Part part, const std::string& name, int64_t n, Order order) {
  const Found found = find(name, {n});
  Tensor tensor(DType::kF32, {n});
  std::vector<float> values(static_cast<size_t>(n));
  const std::byte* data = found.stored->data.data();
  if (found.blocks) {
    ops::widen_blocks(*found.blocks, data, n, values.data());
  } else {
    for (int64_t i = 0; i < n; ++i) {
      values[static_cast<size_t>(i)] = element(data, found.dtype, i);
    }
  }
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(order.empty() ? i : order[static_cast<size_t>(i)]);
    tensor->as<float>()[i] = values[at];
  }
  taken(found, part, n * static_cast<int64_t>(sizeof(float)));
  return tensor;
}

Tensor Weights::vector(Part part, const std::string& name, int64_t n) {
  return vector(part, name, n, {});
}

int32_t Weights::add_projection(const std::string& name, const nn::Linear& linear) {
  nn::Projection& projection = projections.emplace_back();
  projection.name = name;
  projection.out = linear.weight.out;
  projection.in = linear.weight.in;
  projection.weight = ops::view_of(linear.weight);
  projection.bias = linear.bias;
  return static_cast<int32_t>(projections.size()) - 1;
}

void Weights::name_parts(const nn::Linear& linear, std::initializer_list<FusedPart> parts) {
  nn::Projection& projection = projections[static_cast<size_t>(linear.slot)];
  const std::string at = projection.name.substr(0, projection.name.rfind('.') + 1);
  int64_t begin = 0;
  for (const FusedPart& part : parts) {
    projection.parts.push_back({at + part.name, begin, begin + part.outs});
    begin += part.outs;
  }
  CHECK(begin == projection.out, "the parts of {} have {} outputs of {}", projection.name, begin,
        projection.out);
}

Weights::Order Weights::order_of(const std::string& name) const {
  for (const auto& [end, order] : layout_.row_orders) {
    if (name.ends_with(end)) return order;
  }
  return {};
}

nn::Linear Weights::projection(Part part, const std::string& name, int64_t out, int64_t in,
                               Bias bias, Order order) {
  const std::string whole = root_ + name;
  nn::Linear linear;
  linear.weight = matrix(part, whole + ".weight", out, in, order);
  if (bias == Bias::kStored) linear.bias = vector(part, whole + ".bias", out, order);
  linear.slot = add_projection(whole, linear);
  return linear;
}

nn::Linear Weights::linear(Part part, const std::string& name, int64_t out, int64_t in, Bias bias) {
  return projection(part, name, out, in, bias, order_of(name));
}

nn::Linear Weights::linear_in_order(Part part, const std::string& name,
                                    std::span<const int64_t> order, int64_t in, Bias bias) {
  const auto out = static_cast<int64_t>(order.size());
  nn::Linear linear = projection(part, name, out, in, bias, layout_.is_straight ? Order() : order);
  // Adapters speak of the outputs as transformers has them, however this file lays them.
  projections.back().order.assign(order.begin(), order.end());
  return linear;
}

nn::Linear Weights::conv1d(Part part, const std::string& name, int64_t out, int64_t in) {
  if (layout_.is_straight) return projection(part, name, out, in, Bias::kStored, {});
  const std::string whole = root_ + name;
  nn::Linear linear;
  if (auto before = packed_before(part, whole + ".weight", out, in)) {
    linear.weight = std::move(*before);
  } else {
    const Found found = find(whole + ".weight", {in, out});
    linear.weight =
        made(part, found,
             quantized(part, found.name, transposed(found.stored->data, found.dtype, out, in)));
  }
  linear.bias = vector(part, whole + ".bias", out);
  linear.slot = add_projection(whole, linear);
  return linear;
}

ops::Weight Weights::table(const std::string& name, int64_t rows, int64_t cols) {
  return matrix(Part::kEmbedding, root_ + name, rows, cols, {});
}

nn::Linear Weights::head(const std::string& name, int64_t out, int64_t in, Bias bias) {
  nn::Linear linear;
  linear.weight = matrix(Part::kHead, name + ".weight", out, in, {});
  if (bias == Bias::kStored) linear.bias = vector(Part::kHead, name + ".bias", out);
  return linear;
}

std::optional<nn::Linear> Weights::tied_head(const ops::Weight& table) {
  nn::Linear linear;
  if (auto before = packed_before(Part::kHead, kTiedHead, table.out, table.in)) {
    linear.weight = std::move(*before);
    return linear;
  }
  const auto format = quantized_format(options_.quantize, Part::kHead);
  if (!format || ops::quantized(table.format)) return std::nullopt;
  linear.weight = quantized(ops::rows_of(table.matrix, *options_.kernels), *format, kTiedHead);
  packed.push_back({kTiedHead, ops::view_of(linear.weight)});
  Parameter parameter;
  parameter.name = kTiedHead;
  parameter.part = Part::kHead;
  parameter.dtype = table.matrix.dtype;
  parameter.shape = {table.out, table.in};
  parameter.bytes = linear.weight.bytes();
  taken(std::move(parameter), 0);
  return linear;
}

nn::RmsNorm Weights::rms_norm(const std::string& name, int64_t n, float epsilon, float offset) {
  return {vector(Part::kNorm, root_ + name + ".weight", n), epsilon,
          layout_.norms_are_whole ? 0.0f : offset};
}

nn::LayerNorm Weights::layer_norm(const std::string& name, int64_t n, float epsilon) {
  return {vector(Part::kNorm, root_ + name + ".weight", n),
          vector(Part::kNorm, root_ + name + ".bias", n), epsilon};
}

std::vector<std::string> Weights::left_over() const {
  constexpr std::string_view kBuffers[] = {"rotary_emb.inv_freq", "attn.bias", "attn.masked_bias",
                                           "attention.bias", "attention.masked_bias"};
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors_) {
    const std::string_view view = name;
    const bool buffer = std::any_of(std::begin(kBuffers), std::end(kBuffers),
                                    [&](std::string_view end) { return view.ends_with(end); });
    if (!buffer && view.starts_with(root_) && !taken_.contains(name)) names.push_back(name);
  }
  return names;
}

void Weights::finish() {
  if (progress_) progress_(total_, total_);
}

DType Weights::main_dtype() const {
  constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16};
  std::array<int64_t, std::size(kTypes)> counts{};
  for (const Parameter& parameter : parameters) {
    for (size_t i = 0; i < std::size(kTypes); ++i) {
      if (parameter.dtype == kTypes[i]) counts[i] += parameter.count;
    }
  }
  return kTypes[std::max_element(counts.begin(), counts.end()) - counts.begin()];
}

std::string Weights::main_type() const {
  std::map<std::string, int64_t> counts;
  for (const Parameter& parameter : parameters) counts[parameter.stored] += parameter.count;
  const auto most =
      std::max_element(counts.begin(), counts.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == counts.end() ? "" : most->first;
}

}  // namespace hearth::models
