// The trainer as a whole, on a model small enough for seconds.
#include "train/trainer.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>

#include "backend/cpu/thread_pool.h"
#include "backend/cpu/train_kernels.h"
#include "base/error.h"
#include "io/chunk_store.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "ops/optimizer.h"
#include "train/gradient_check.h"
#include "train/hf_files.h"
#include "train/internal/tiny_run.h"
#include "train/sample.h"
#include "train/shard.h"

namespace hearth::train {
namespace {

namespace cpu = backend::cpu;

using internal::Recorder;

class TrainerTest : public testing::Test {
 protected:
  static std::string test_name() {
    return testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  ops::TrainContext context() { return {cpu::train_kernels(), pool_, scratch_}; }
  std::string write_shard(int documents, uint64_t seed) {
    return tiny_.write_shard(documents, seed);
  }
  TrainConfig config(const std::string& out) { return tiny_.config(out); }

  static constexpr int32_t kVocab = internal::kTinyVocab;
  internal::TinyRun tiny_{testing::TempDir() + "hearth-train-" + test_name()};
  std::string folder_ = tiny_.folder();
  cpu::ThreadPool pool_{1};  // ThreadsChangeNoBit has more
  ops::Scratch scratch_;
  FakeClock clock_;
};

void run_into(Recorder& recorder, const TrainConfig& config, ops::TrainContext ctx,
              const Clock& clock) {
  Trainer trainer(config, ctx, clock);
  trainer.run(recorder, recorder.stop);
}

TEST_F(TrainerTest, LossFallsAndTheModelIsSaved) {
  for (const char* optimizer : {"adamw", "muon"}) {
    TrainConfig c = config(optimizer);
    c.optimizer.name = optimizer;
    Recorder recorder;
    run_into(recorder, c, context(), clock_);
    ASSERT_EQ(recorder.steps.size(), 60u);
    EXPECT_NEAR(recorder.steps.front().loss, std::log(29.0), 0.2) << optimizer;
    EXPECT_LT(recorder.steps.back().loss, 1.5) << optimizer;
    ASSERT_EQ(recorder.validations.size(), 1u);
    EXPECT_LT(recorder.validations.back().loss, 2.0) << optimizer;

    // What was saved computes what the trained model computes, to the rounding of bf16.
    const io::Json saved = io::load_json(c.run.out + "/model/config.json");
    auto model = make_model(saved, {}, "config.json");
    load_weights(c.run.out + "/model", *model);
    auto ctx = context();
    model->parameters().refresh(ctx);
    DataStream data(c.data.validation, 32, 1);
    EXPECT_NEAR(evaluate(ctx, *model, data, 128, 0).loss, recorder.validations.back().loss, 1e-3);
  }
}

TEST_F(TrainerTest, ResumedAnywhereGivesTheSameLossesBitForBit) {
  for (const char* optimizer : {"adamw", "muon"}) {
    TrainConfig c = config(std::string("whole-") + optimizer);
    c.optimizer.name = optimizer;
    c.schedule.steps = 12;
    Recorder whole;
    run_into(whole, c, context(), clock_);
    c.run.out = folder_ + "/pieces-" + optimizer;
    std::vector<StepReport> pieces;
    for (int64_t stop : {1, 2, 7, -1}) {
      Recorder part(stop);
      run_into(part, c, context(), clock_);
      pieces.insert(pieces.end(), part.steps.begin(), part.steps.end());
    }
    ASSERT_EQ(pieces.size(), whole.steps.size());
    for (size_t i = 0; i < pieces.size(); ++i) {
      EXPECT_EQ(pieces[i].step, whole.steps[i].step);
      EXPECT_EQ(pieces[i].loss, whole.steps[i].loss) << "step " << i + 1;
      EXPECT_EQ(pieces[i].grad_norm, whole.steps[i].grad_norm) << "step " << i + 1;
    }
  }
}

TEST_F(TrainerTest, ThreadsChangeNoBit) {
  TrainConfig c = config("one");
  c.schedule.steps = 5;
  Recorder one;
  cpu::ThreadPool single(1);
  run_into(one, c, {cpu::train_kernels(), single, scratch_}, clock_);
  c.run.out = folder_ + "/three";
  Recorder three;
  cpu::ThreadPool triple(3);
  run_into(three, c, {cpu::train_kernels(), triple, scratch_}, clock_);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(one.steps[i].loss, three.steps[i].loss);
}

// The classic mistake is a mean of means: loss and gradient must not feel how a step was cut.
TEST_F(TrainerTest, MicroBatchesChangeNothing) {
  TrainConfig c = config("a");
  c.run.precision = "f32";
  c.schedule.steps = 6;
  Recorder whole;
  c.batch.micro_tokens = 10000;
  run_into(whole, c, context(), clock_);
  for (int64_t micro : {1, 64, 200}) {
    c.run.out = folder_ + "/micro-" + std::to_string(micro);
    c.batch.micro_tokens = micro;
    Recorder cut;
    run_into(cut, c, context(), clock_);
    for (size_t i = 0; i < whole.steps.size(); ++i) {
      EXPECT_NEAR(cut.steps[i].loss, whole.steps[i].loss, 2e-5) << micro;
      EXPECT_NEAR(cut.steps[i].grad_norm, whole.steps[i].grad_norm, 1e-3 * whole.steps[i].grad_norm)
          << micro;
    }
  }
}

TEST_F(TrainerTest, RecomputeChangesNoBit) {
  TrainConfig c = config("kept");
  c.schedule.steps = 4;
  Recorder kept;
  run_into(kept, c, context(), clock_);
  c.run.out = folder_ + "/again";
  c.model.recompute = "block";
  Recorder again;
  run_into(again, c, context(), clock_);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(kept.steps[i].loss, again.steps[i].loss);
    EXPECT_EQ(kept.steps[i].grad_norm, again.steps[i].grad_norm);
  }
}

TEST_F(TrainerTest, DamagedCheckpointIsPassedOver) {
  TrainConfig c = config("run");
  c.schedule.steps = 6;
  c.run.checkpoint_every = 2;
  Recorder first(5);
  run_into(first, c, context(), clock_);
  const std::string newest = c.run.out + "/checkpoints/chunks/shard-0000/5.1.pack";
  ASSERT_TRUE(io::file_exists(newest));
  std::string bytes = io::read_file(newest);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  io::write_file_atomic(newest, bytes);
  Recorder second;
  run_into(second, c, context(), clock_);
  EXPECT_EQ(second.steps.front().step, 5);  // from step 4
  EXPECT_EQ(second.steps.front().loss, first.steps[4].loss);
  EXPECT_EQ(second.steps.back().step, 6);
}

TEST_F(TrainerTest, NoCheckpointThatCanBeReadIsNotTakenForABeginning) {
  TrainConfig c = config("run");
  Recorder first(2);
  run_into(first, c, context(), clock_);
  io::write_file_atomic(c.run.out + "/checkpoints/step-00000002/state.json", "{");
  EXPECT_THROW(Trainer(c, context(), clock_), Error);
}

// Something in the way of the folder of step 4, as a full disk would be.
TEST_F(TrainerTest, ACheckpointThatCannotBeWrittenEndsNothing) {
  TrainConfig c = config("run");
  c.schedule.steps = 7;
  c.run.checkpoint_every = 2;
  c.run.checkpoints_kept = 10;
  const std::string folder = c.run.out + "/checkpoints/";
  const auto obstruct = [&](int64_t step) {
    if (step == 1) std::filesystem::create_directories(folder);
    if (step == 3) io::write_file_atomic(folder + "step-00000004.part", "in the way");
    if (step != 5) return;
    EXPECT_TRUE(io::file_exists(folder + "step-00000002/state.json"));
    EXPECT_FALSE(io::file_exists(folder + "step-00000004"));
  };
  Recorder recorder;
  recorder.after_step = obstruct;
  run_into(recorder, c, context(), clock_);
  ASSERT_EQ(recorder.checkpoints.size(), 4u);
  for (const CheckpointReport& report : recorder.checkpoints) {
    EXPECT_EQ(report.failure.empty(), report.step != 4) << report.failure;
  }
  EXPECT_TRUE(io::file_exists(folder + "step-00000006/state.json"));
}

TEST_F(TrainerTest, TheLastCheckpointMustBeWritten) {
  TrainConfig c = config("run");
  c.schedule.steps = 2;
  Recorder recorder;
  recorder.after_step = [&](int64_t) {
    std::filesystem::create_directories(c.run.out);
    io::write_file_atomic(c.run.out + "/checkpoints", "in the way");
  };
  EXPECT_THROW(run_into(recorder, c, context(), clock_), Error);
}

// What a shard's chunks are, as the file that shards were before.
std::string as_file(const std::string& chunks, const io::ChunkVersion& version) {
  const io::ChunkStore store(chunks, 1);
  const io::ChunkManifest manifest = store.manifest(version);
  std::vector<std::string> pieces;
  for (const io::StoredPiece& piece : manifest.pieces)
    pieces.emplace_back(static_cast<size_t>(piece.bytes), '\0');
  store.read(manifest, [&](size_t piece, int64_t offset, std::span<const std::byte> bytes) {
    std::memcpy(pieces[piece].data() + offset, bytes.data(), bytes.size());
  });
  std::vector<io::TensorToStore> tensors;
  for (size_t i = 0; i < pieces.size(); ++i) {
    tensors.push_back({manifest.pieces[i].name,
                       "F32",
                       {static_cast<int64_t>(pieces[i].size() / sizeof(float))},
                       io::as_bytes(pieces[i])});
  }
  return io::build_safetensors(tensors);
}

// The layouts that were written before there were chunks: a file a shard, and one in all.
TEST_F(TrainerTest, CheckpointsOfEarlierFormatsAreRead) {
  double last_loss = 0;
  for (const int format : {1, 2, 3}) {
    TrainConfig c = config("run" + std::to_string(format));
    c.schedule.steps = 6;
    Recorder first(4);
    run_into(first, c, context(), clock_);
    const std::string at = c.run.out + "/checkpoints/step-00000004/";
    if (format < 3) {
      const std::string file = as_file(c.run.out + "/checkpoints/chunks/shard-0000", {4, 1});
      io::Json state = io::load_json(at + "state.json");
      io::Json shard = io::load_json(at + "shard-0000.json");
      state["format"] = format;
      shard["checksum"] = checksum64(io::as_bytes(file));
      if (format == 1) state["checksum"] = shard["checksum"];
      io::write_file_atomic(at + "state.json", io::dump_json(state));
      io::write_file_atomic(at + "shard-0000.json", io::dump_json(shard));
      io::write_file_atomic(at + (format == 1 ? "state" : "shard-0000") + ".safetensors", file);
      std::filesystem::remove_all(c.run.out + "/checkpoints/chunks");
    }
    Recorder second;
    run_into(second, c, context(), clock_);
    EXPECT_EQ(second.steps.front().step, 5) << format;
    if (format == 1) last_loss = second.steps.back().loss;
    EXPECT_EQ(second.steps.back().loss, last_loss) << format;
  }
}

// What does not change from checkpoint to checkpoint is written once, what is numbers is packed.
TEST_F(TrainerTest, AChunkThatDidNotChangeIsNotWrittenAgain) {
  TrainConfig c = config("run");
  c.schedule.steps = 6;
  c.run.checkpoint_every = 2;
  c.optimizer.learning_rate = 1e-30;
  c.optimizer.weight_decay = 0;
  Recorder recorder;
  run_into(recorder, c, context(), clock_);
  ASSERT_EQ(recorder.checkpoints.size(), 3U);
  const CheckpointReport &first = recorder.checkpoints[0], &last = recorder.checkpoints[2];
  EXPECT_LT(first.stored, first.bytes * 95 / 100);
  // The moments change, the weights do not.
  EXPECT_LT(last.stored, first.stored * 75 / 100);
  EXPECT_GT(last.stored, first.stored / 3);
}

// Versions that no checkpoint names any more are gone, and so is what an earlier run left.
TEST_F(TrainerTest, ChunksOfOldCheckpointsGo) {
  TrainConfig c = config("run");
  c.schedule.steps = 9;
  c.run.checkpoint_every = 3;
  c.run.checkpoints_kept = 2;
  Recorder first(4);
  run_into(first, c, context(), clock_);
  c.run.checkpoint_every = 1;
  const std::string chunks = c.run.out + "/checkpoints/chunks/shard-0000";
  std::filesystem::copy_file(chunks + "/4.1.pack", chunks + "/2.7.pack");
  std::filesystem::copy_file(chunks + "/4.1.image", chunks + "/2.7.image");
  Recorder second;
  run_into(second, c, context(), clock_);
  const std::vector<io::ChunkVersion> left = io::ChunkStore(chunks, 1).versions();
  EXPECT_EQ(left, (std::vector<io::ChunkVersion>{{8, 1}, {9, 1}}));
  EXPECT_FALSE(io::file_exists(chunks + "/2.7.pack"));
}

TEST_F(TrainerTest, CheckpointOfOtherDataIsRefused) {
  TrainConfig c = config("run");
  c.schedule.steps = 4;
  Recorder first(2);
  run_into(first, c, context(), clock_);
  c.data.train = {write_shard(100, 9)};
  EXPECT_THROW(Trainer(c, context(), clock_), Error);
  c = config("run");
  c.model.hidden_size = 64;
  EXPECT_THROW(Trainer(c, context(), clock_), Error);
}

class ModelTest : public TrainerTest {
 protected:
  std::unique_ptr<Model> small_model(DType dtype) {
    const io::Json json = {
        {"model_type", "llama"},       {"vocab_size", kVocab},    {"hidden_size", 24},
        {"intermediate_size", 40},     {"num_hidden_layers", 2},  {"num_attention_heads", 4},
        {"num_key_value_heads", 2},    {"head_dim", 8},           {"max_position_embeddings", 64},
        {"tie_word_embeddings", true}, {"initializer_range", 0.2}};
    auto model = make_model(json, {.compute = dtype}, "test");
    Random random(3);
    model->parameters().initialise(random);
    auto ctx = context();
    model->parameters().refresh(ctx);
    return model;
  }
};

std::vector<int32_t> random_tokens(Random& random, int64_t count, int32_t vocab) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(vocab))));
  }
  return tokens;
}

// A document among others is computed as if it were alone.
TEST_F(ModelTest, PackedLossIsUnpackedLoss) {
  const auto model = small_model(DType::kBF16);
  auto ctx = context();
  Random random(11);
  Batch packed;
  std::vector<float> alone;
  for (int64_t count : {5, 2, 61, 17, 33}) {
    const std::vector<int32_t> tokens = random_tokens(random, count, kVocab);
    packed.append(tokens);
    Batch single;
    single.append(tokens);
    std::vector<float> losses(single.ids.size());
    model->losses(ctx, single, losses);
    alone.insert(alone.end(), losses.begin(), losses.end());
  }
  std::vector<float> together(packed.ids.size());
  model->losses(ctx, packed, together);
  ASSERT_EQ(together.size(), alone.size());
  for (size_t i = 0; i < alone.size(); ++i) EXPECT_NEAR(together[i], alone[i], 1e-6) << i;
}

TEST_F(ModelTest, WholeModelGradient) {
  const auto model = small_model(DType::kF32);
  auto ctx = context();
  Random random(4);
  Batch batch;
  batch.append(random_tokens(random, 30, kVocab));
  batch.append(random_tokens(random, 20, kVocab), std::vector<uint8_t>(20, 1));
  check_gradients(*model, ctx, batch, 5e-3, 5e-3);
}

TEST_F(ModelTest, UnlearnedTokensHaveNoGradient) {
  const auto model = small_model(DType::kF32);
  auto ctx = context();
  Random random(4);
  Batch batch;
  const std::vector<int32_t> tokens = random_tokens(random, 10, kVocab);
  std::vector<uint8_t> learn(10, 0);
  batch.append(tokens, learn);
  EXPECT_EQ(batch.target_count(), 0);
  model->parameters().clear_gradients();
  EXPECT_EQ(model->forward_backward(ctx, batch, 1.0f), 0.0);
  EXPECT_EQ(ops::sum_squares(ctx, model->parameters().flat_gradient()), 0.0);
}

// What is said to be ready is not written again, and all of it is said in the end.
TEST_F(ModelTest, GradientsAreReadyFromTheEndToTheBeginning) {
  const auto model = small_model(DType::kF32);
  auto ctx = context();
  Random random(5);
  Batch batch;
  batch.append(random_tokens(random, 12, kVocab));
  model->parameters().clear_gradients();
  const TensorView flat = model->parameters().flat_gradient();
  const int64_t size = flat.shape.count();
  int64_t from = size;
  std::vector<float> told(static_cast<size_t>(size));
  model->forward_backward(ctx, batch, 1.0f, [&](int64_t now) {
    ASSERT_LT(now, from);
    std::copy(flat.as<float>() + now, flat.as<float>() + from, told.begin() + now);
    from = now;
  });
  EXPECT_EQ(from, 0);
  for (int64_t i = 0; i < size; ++i) {
    ASSERT_EQ(told[static_cast<size_t>(i)], flat.as<float>()[i]) << i;
  }
}

TEST_F(ModelTest, NextLogitsAreThoseOfTheLoss) {
  const auto model = small_model(DType::kF32);
  auto ctx = context();
  Random random(6);
  const std::vector<int32_t> tokens = random_tokens(random, 9, kVocab);
  std::vector<float> logits(kVocab);
  model->next_logits(ctx, std::span(tokens).first(8), logits);
  double sum = 0;
  for (float logit : logits) sum += std::exp(double{logit});
  Batch batch;
  batch.append(tokens);
  std::vector<float> losses(8);
  model->losses(ctx, batch, losses);
  EXPECT_NEAR(std::log(sum) - logits[static_cast<size_t>(tokens[8])], losses[7], 1e-5);
}

TEST_F(ModelTest, SamplesComeFromTheSeedAndEndInTime) {
  const auto model = small_model(DType::kF32);
  auto ctx = context();
  const std::vector<int32_t> prompt = {1, 2, 3};
  const auto sample = [&](const SampleOptions& options, int32_t stop) {
    return sample_tokens(ctx, *model, prompt, stop, options);
  };
  const std::vector<int32_t> once = sample({.tokens_max = 20, .temperature = 5.0, .seed = 3}, -1);
  EXPECT_EQ(once.size(), 20u);
  EXPECT_EQ(sample({.tokens_max = 20, .temperature = 5.0, .seed = 3}, -1), once);
  EXPECT_NE(sample({.tokens_max = 20, .temperature = 5.0, .seed = 4}, -1), once);
  const auto stopped = sample({.tokens_max = 20, .temperature = 5.0, .seed = 3}, once[4]);
  EXPECT_LE(stopped.size(), 4u);
  EXPECT_EQ(sample({.tokens_max = 1000}, -1).size(), 64u - prompt.size());  // the context's end

  std::vector<float> logits(kVocab);
  model->next_logits(ctx, prompt, logits);
  const auto likeliest = std::max_element(logits.begin(), logits.end()) - logits.begin();
  EXPECT_EQ(sample({.tokens_max = 1, .temperature = 0}, -1)[0], likeliest);
}

TEST(ModelRegistry, NamesWhatItDoesNotTrain) {
  try {
    make_model({{"model_type", "bert"}}, {}, "config.json");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code, ErrorCode::kUnsupported);
    EXPECT_NE(error.text.find("llama"), std::string::npos);
  }
}

}  // namespace
}  // namespace hearth::train
