// Properties of the rules; their numbers are held to transformers by the golden logits of models/.
#include "nn/rope.h"

#include <gtest/gtest.h>

namespace hearth::nn {
namespace {

const RopeBase kBase{10000, 8};

TEST(Rope, DefaultIsAGeometricSeries) {
  const Rope rope = rope_default(kBase);
  ASSERT_EQ(rope.inverse_frequency.size(), 4u);
  EXPECT_FLOAT_EQ(rope.inverse_frequency[0], 1.0f);
  EXPECT_FLOAT_EQ(rope.inverse_frequency[1], 0.1f);
  EXPECT_FLOAT_EQ(rope.inverse_frequency[3], 0.001f);
  EXPECT_EQ(rope.scale, 1.0f);
}

TEST(Rope, DynamicChangesNothingUpToThePretrainedLength) {
  EXPECT_EQ(rope_dynamic(kBase, 4, 100, 50).inverse_frequency,
            rope_default(kBase).inverse_frequency);
  EXPECT_EQ(rope_dynamic(kBase, 4, 100, 100).inverse_frequency,
            rope_default(kBase).inverse_frequency);
  EXPECT_LT(rope_dynamic(kBase, 4, 100, 101).inverse_frequency[3],
            rope_default(kBase).inverse_frequency[3]);
}

TEST(Rope, Llama3KeepsShortWavesAndSlowsLongOnes) {
  const Rope plain = rope_default(kBase);
  const Rope rope = rope_llama3(kBase, {8, 1, 4, 1000});
  EXPECT_EQ(rope.inverse_frequency[0], plain.inverse_frequency[0]);            // wave of 6
  EXPECT_FLOAT_EQ(rope.inverse_frequency[3], plain.inverse_frequency[3] / 8);  // wave of 6283
}

TEST(Rope, YarnRampsFromPlainToSlowed) {
  const RopeBase base{10000, 64};
  YarnScaling scaling;
  scaling.factor = 4;
  const Rope plain = rope_default(base);
  const Rope rope = rope_yarn(base, scaling);
  EXPECT_FLOAT_EQ(rope.inverse_frequency.front(), plain.inverse_frequency.front());
  EXPECT_FLOAT_EQ(rope.inverse_frequency.back(), plain.inverse_frequency.back() / 4);
  const size_t middle = 15;
  EXPECT_LT(rope.inverse_frequency[middle], plain.inverse_frequency[middle]);
  EXPECT_GT(rope.inverse_frequency[middle], plain.inverse_frequency[middle] / 4);
}

TEST(Rope, LongropeDividesEachFrequency) {
  const Rope plain = rope_default(kBase);
  const Rope rope = rope_longrope(kBase, {1, 2, 4, 8}, 1.5f);
  EXPECT_FLOAT_EQ(rope.inverse_frequency[3], plain.inverse_frequency[3] / 8);
  EXPECT_EQ(rope.scale, 1.5f);
}

}  // namespace
}  // namespace hearth::nn
