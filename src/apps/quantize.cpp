// hearth quantize: a model folder with its weights in 8 or 4 bits, packed for the kernels.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <numeric>
#include <set>

#include "apps/commands.h"
#include "apps/model_source.h"
#include "apps/progress.h"
#include "backend/cpu/cpu_backend.h"
#include "base/error.h"
#include "io/gguf.h"
#include "io/json.h"
#include "models/packed.h"
#include "runner/calibrate.h"
#include "tokenizer/tokenizer.h"

namespace hearth::apps {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kCalibrationWindow = 512;                 // tokens of one text
constexpr uintmax_t kCopiedBytesMax = uintmax_t{64} << 20;  // of a file that is copied along

struct QuantizeCommand {
  std::string model;
  std::string to = "q8";
  std::string out;
  std::string calibrate;
  int64_t calibrate_tokens = 16384;
  double keep_q8 = 0.1;
  int threads = 0;
  std::string data_dir = default_data_dir();
};

// One matrix on its way: what it was, and what it becomes.
struct Matrix {
  std::string name;  // of its weight
  ops::Weight weight;
  std::vector<float> importance;  // empty: columns are alike
  ops::Weight packed;
  double error = 0;  // squared, weighed by importance, over the same of the weights
};

std::vector<std::vector<int32_t>> calibration_texts(const QuantizeCommand& options,
                                                    io::FileSource& files,
                                                    const models::ModelInfo& info) {
  const auto tokenizer = tokenizer::Tokenizer::load(files);
  const std::vector<int32_t> all =
      tokenizer->encode(io::read_file(options.calibrate), tokenizer::AddSpecial::kNo);
  const auto window = static_cast<size_t>(
      std::min<int64_t>(kCalibrationWindow, std::max(info.max_model_len - 1, 1)));
  const auto count = std::min(all.size(), static_cast<size_t>(options.calibrate_tokens));
  std::vector<std::vector<int32_t>> texts;
  for (size_t at = 0; at < count; at += window) {
    std::vector<int32_t>& text = texts.emplace_back();
    if (tokenizer->bos_id() >= 0) text.push_back(tokenizer->bos_id());
    const auto from = all.begin() + static_cast<std::ptrdiff_t>(at);
    text.insert(text.end(), from, from + static_cast<std::ptrdiff_t>(std::min(window, count - at)));
  }
  if (texts.empty()) {
    throw_error(ErrorCode::kInvalidArgument, "--calibrate", "{} holds no text", options.calibrate);
  }
  return texts;
}

// The squared error of the packed rows, each column weighed by its importance.
double relative_error(const Matrix& matrix) {
  const auto in = static_cast<size_t>(matrix.weight.in);
  std::vector<float> was(in), is(in);
  double error = 0, whole = 0;
  for (int64_t o = 0; o < matrix.weight.out; ++o) {
    ops::read_row(matrix.weight, o, was.data());
    ops::read_row(matrix.packed, o, is.data());
    for (size_t i = 0; i < in; ++i) {
      const double importance = matrix.importance.empty() ? 1.0 : double{matrix.importance[i]};
      const double difference = double{was[i]} - double{is[i]};
      error += importance * difference * difference;
      whole += importance * double{was[i]} * double{was[i]};
    }
  }
  return whole > 0 ? error / whole : 0;
}

class Quantizer {
 public:
  Quantizer(const QuantizeCommand& options, ModelSource source)
      : options_(options), source_(std::move(source)), backend_({.threads = options.threads}) {
    if (source_.files->has(io::kGgufFile)) {
      throw_error(
          ErrorCode::kUnsupported, options.model,
          "a GGUF file is quantised while it is loaded (serve --quantize); name the model's "
          "Hugging Face folder");
    }
    model_ = models::load(*source_.files);
    if (!model_->packed.empty() || model_->info.quantize != models::Quantize::kNone) {
      throw_error(ErrorCode::kUnsupported, options.model,
                  "these weights are quantised already; name the folder that they were made from");
    }
  }

  void run() {
    collect();
    if (!options_.calibrate.empty()) calibrate();
    pack_all();
    if (to_ == ops::WeightFormat::kQ4) raise_sensitive();
    write();
    report();
  }

 private:
  void collect() {
    to_ = options_.to == "q4" ? ops::WeightFormat::kQ4 : ops::WeightFormat::kQ8;
    for (const nn::Projection& projection : model_->projections) {
      matrices_.push_back(
          {projection.name + ".weight", ops::view_of(projection.weight), {}, {}, 0});
    }
    head_ = {models::kTiedHead, ops::view_of(model_->head_weight()), {}, {}, 0};
    for (const models::Parameter& parameter : model_->parameters) {
      if (parameter.part == models::Part::kHead && parameter.shape.size() == 2) {
        head_.name = parameter.name;
      }
    }
  }

  void calibrate() {
    const auto texts = calibration_texts(options_, *source_.files, model_->info);
    const runner::InputMeans means = runner::measure_inputs(*model_, backend_.context(), texts);
    for (size_t i = 0; i < matrices_.size(); ++i) matrices_[i].importance = means.projections[i];
    head_.importance = means.head;
    std::printf("calibrated on %lld tokens of %s\n", static_cast<long long>(means.tokens),
                options_.calibrate.c_str());
  }

  void pack(Matrix& matrix, ops::WeightFormat format) {
    const ops::QuantizeKernels& kernels = backend::cpu::quantize_kernels();
    const int threads = backend_.context().workers.count();
    matrix.packed = ops::quantize(ops::rows_of(matrix.weight.matrix, kernels), format,
                                  {threads, matrix.importance, &kernels}, matrix.name.c_str());
    matrix.error = relative_error(matrix);
  }

  void pack_all() {
    ProgressBar progress("quantising");
    for (size_t i = 0; i < matrices_.size(); ++i) {
      pack(matrices_[i], to_);
      progress.show(static_cast<int64_t>(i + 1), static_cast<int64_t>(matrices_.size()));
    }
    pack(head_, ops::WeightFormat::kQ8);
  }

  // The rule: of the projections, those that lose most in 4 bits are kept in 8, as many as make up
  // --keep-q8 of all weights.
  void raise_sensitive() {
    std::vector<Matrix*> by_loss;
    int64_t all = 0;
    for (Matrix& matrix : matrices_) {
      by_loss.push_back(&matrix);
      all += matrix.weight.out * matrix.weight.in;
    }
    std::stable_sort(by_loss.begin(), by_loss.end(),
                     [](const Matrix* a, const Matrix* b) { return a->error > b->error; });
    auto left = static_cast<int64_t>(options_.keep_q8 * static_cast<double>(all));
    std::printf("kept in q8, by loss in q4 (squared error over squared weights%s):\n",
                options_.calibrate.empty() ? "" : ", weighed by the calibration");
    for (Matrix* matrix : by_loss) {
      const int64_t size = matrix->weight.out * matrix->weight.in;
      if (size > left) continue;
      left -= size;
      const double before = matrix->error;
      pack(*matrix, ops::WeightFormat::kQ8);
      std::printf("  %-48s %.2e -> %.2e\n", matrix->name.c_str(), before, matrix->error);
    }
    std::printf("  %-48s always\n", "the head");
  }

  void write() {
    fs::create_directories(options_.out);
    std::vector<models::PackedWeight> packed;
    std::set<std::string> names;
    for (const Matrix& matrix : matrices_) {
      packed.push_back({matrix.name, ops::view_of(matrix.packed)});
      names.insert(matrix.name);
    }
    packed.push_back({head_.name, ops::view_of(head_.packed)});
    names.insert(head_.name);
    const io::TensorMap tensors = io::load_safetensors(*source_.files);
    std::vector<io::TensorToStore> others;
    for (const auto& [name, tensor] : tensors) {
      if (!names.contains(name)) others.push_back({name, tensor.dtype, tensor.shape, tensor.data});
    }
    models::write_packed(
        options_.out + "/model.safetensors",
        {"", to_ == ops::WeightFormat::kQ4 ? models::Quantize::kQ4 : models::Quantize::kQ8, packed,
         others});
    copy_rest();
  }

  // Everything but weights: the tokenizer, templates, licences.
  void copy_rest() const {
    const std::string where = source_.files->where("config.json");
    io::Json config = io::parse_json(source_.files->text("config.json"), where);
    config["quantization_config"] = {{"quant_method", "hearth"}, {"format", options_.to}};
    io::write_file_atomic(options_.out + "/config.json", config.dump(2) + "\n");
    if (source_.path.empty()) return copy_embedded();
    for (const auto& entry : fs::directory_iterator(source_.path)) {
      const std::string name = entry.path().filename().string();
      const std::string extension = entry.path().extension().string();
      const bool weights = extension == ".safetensors" || extension == ".bin" ||
                           extension == ".pth" || extension == ".gguf" || extension == ".pt" ||
                           name.ends_with(".index.json");
      if (!entry.is_regular_file() || weights || name == "config.json") continue;
      if (entry.file_size() > kCopiedBytesMax) continue;
      fs::copy_file(entry.path(), fs::path(options_.out) / name,
                    fs::copy_options::overwrite_existing);
    }
  }

  void copy_embedded() const {
    for (const char* name : {"generation_config.json", "tokenizer.json", "tokenizer_config.json"}) {
      if (!source_.files->has(name)) continue;
      io::write_file_atomic(options_.out + "/" + name, source_.files->text(name));
    }
  }

  void report() const {
    int64_t weights = 0, bytes = 0;
    double error = 0;
    for (const Matrix& matrix : matrices_) {
      weights += matrix.weight.out * matrix.weight.in;
      bytes += matrix.packed.bytes();
      error += matrix.error;
    }
    std::printf(
        "%s: %lld projection weights in %.2f bits each, mean relative error %.2e\n",
        options_.out.c_str(), static_cast<long long>(weights),
        8.0 * static_cast<double>(bytes) / static_cast<double>(std::max<int64_t>(weights, 1)),
        error / static_cast<double>(std::max<size_t>(matrices_.size(), 1)));
  }

  const QuantizeCommand& options_;
  ModelSource source_;
  backend::cpu::Backend backend_;
  std::unique_ptr<models::Model> model_;
  ops::WeightFormat to_ = ops::WeightFormat::kQ8;
  std::vector<Matrix> matrices_;  // the projections, by slot
  Matrix head_;
};

}  // namespace

void add_quantize_command(CLI::App& app) {
  auto options = std::make_shared<QuantizeCommand>();
  CLI::App* command = app.add_subcommand(
      "quantize", "Write a model folder whose weights have 8 or 4 bits and are mapped at once");
  command->add_option("MODEL", options->model,
                      "Model folder or name; the embedded model, if not given");
  command->add_option("--to", options->to, "q8 (8.5 bits a weight) or q4 (4.5)")
      ->check(CLI::IsMember({"q8", "q4"}))
      ->capture_default_str();
  command->add_option("--out", options->out, "The folder to write")->required();
  command
      ->add_option("--calibrate", options->calibrate,
                   "A text such as the model will see; errors are weighed by what it does with it")
      ->check(CLI::ExistingFile);
  command->add_option("--calibrate-tokens", options->calibrate_tokens, "Of that text, at most")
      ->check(CLI::Range(int64_t{64}, int64_t{1} << 24))
      ->capture_default_str();
  command
      ->add_option(
          "--keep-q8", options->keep_q8,
          "Share of the projections' weights that stay q8 when the others become q4: those "
          "that lose most")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "0: all cores that it may use")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->add_option("--data-dir", options->data_dir, "Where named models are")
      ->envname("HEARTH_DATA_DIR");
  command->callback(
      [options] { Quantizer(*options, find_model(options->model, options->data_dir)).run(); });
}

}  // namespace hearth::apps
