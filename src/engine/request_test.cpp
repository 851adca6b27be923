#include "engine/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth::engine {
namespace {

using testing::HasSubstr;

EngineConfig small() {
  EngineConfig config;
  config.num_blocks = 4;  // 64 tokens
  config.max_model_len = 100;
  return config;
}

Request of(size_t prompt, int32_t max_tokens) {
  Request request;
  request.prompt.assign(prompt, 1);
  request.max_tokens = max_tokens;
  return request;
}

TEST(CheckRequest, TakesWhatJustFits) {
  // The last token of output needs no place in the cache.
  EXPECT_TRUE(check_request(of(60, 5), small()).accepted());
  EXPECT_TRUE(check_request(of(64, kAsManyAsFit), small()).accepted());
  EXPECT_TRUE(check_request(of(64, 0), small()).accepted());
}

TEST(CheckRequest, RefusesWhatNeverFitsAndNamesTheLimit) {
  const Admission cache = check_request(of(60, 6), small());
  EXPECT_EQ(cache.code, AdmissionCode::kTooLong);
  EXPECT_THAT(cache.reason, HasSubstr("64 tokens"));
  EXPECT_THAT(cache.reason, HasSubstr("num_blocks = 4"));
  EXPECT_EQ(check_request(of(65, 0), small()).code, AdmissionCode::kTooLong);
  EXPECT_EQ(check_request(of(65, kAsManyAsFit), small()).code, AdmissionCode::kTooLong);
  const Admission model = check_request(of(60, 41), small());
  EXPECT_EQ(model.code, AdmissionCode::kTooLong);
  EXPECT_THAT(model.reason, HasSubstr("max_model_len = 100"));
}

TEST(CheckRequest, RefusesTokensThatTheModelDoesNotKnow) {
  EngineConfig config = small();
  config.vocabulary = 10;
  Request request = of(3, 1);
  request.prompt[1] = 9;
  EXPECT_TRUE(check_request(request, config).accepted());
  for (TokenId unknown : {10, -1}) {
    request.prompt[1] = unknown;
    const Admission answer = check_request(request, config);
    EXPECT_EQ(answer.code, AdmissionCode::kInvalid);
    EXPECT_THAT(answer.reason, HasSubstr("token id " + std::to_string(unknown)));
  }
}

TEST(CheckRequest, RefusesContradictions) {
  const auto refused = [](Request request, const char* field) {
    const Admission answer = check_request(request, small());
    EXPECT_EQ(answer.code, AdmissionCode::kInvalid);
    EXPECT_THAT(answer.reason, HasSubstr(field));
  };
  refused(of(0, 1), "prompt");
  refused(of(1, -2), "max_tokens");
  Request request = of(1, 2);
  request.min_tokens = 3;
  refused(request, "min_tokens");
  request = of(1, 2);
  request.choices = 0;
  refused(request, "n:");
  request = of(1, 2);
  request.choices = 2;
  request.constraints.resize(1);
  refused(request, "constraints");
  request = of(1, 2);
  request.choices = 2;
  request.pooling = Pooling::kMean;
  refused(request, "n:");
}

TEST(MaxLength, IsTheSmallestLimit) {
  EXPECT_EQ(max_length(of(10, 5), small()), 15);
  EXPECT_EQ(max_length(of(10, kAsManyAsFit), small()), 65);
  EXPECT_EQ(max_length(of(10, 0), small()), 10);
  EngineConfig roomy = small();
  roomy.num_blocks = 100;
  EXPECT_EQ(max_length(of(10, kAsManyAsFit), roomy), 100);
}

TEST(ChoiceSeed, FirstChoiceHasTheSeedAskedFor) {
  EXPECT_EQ(choice_seed(42, 0), 42u);
  EXPECT_NE(choice_seed(42, 1), 42u);
  EXPECT_NE(choice_seed(42, 1), choice_seed(42, 2));
}

}  // namespace
}  // namespace hearth::engine
