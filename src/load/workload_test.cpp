#include "load/workload.h"

#include <cmath>
#include <gtest/gtest.h>
#include <string>

#include "base/error.h"
#include "io/file.h"

namespace hearth::load {
namespace {

std::string temporary(const std::string& name, std::string_view contents) {
  const std::string path = testing::TempDir() + name;
  io::write_file_atomic(path, contents);
  return path;
}

std::string error_of(const std::string& path) {
  try {
    load_trace(path, 10, 1);
  } catch (const Error& error) {
    return error.text;
  }
  return "no error";
}

struct Moments {
  double mean = 0;
  double variation = 0;  // standard deviation over mean
};

Moments gap_moments(double burstiness) {
  WorkloadOptions options;
  options.requests = 20001;
  options.requests_per_second = 50;
  options.burstiness = burstiness;
  const auto plan = make_workload(options);
  double sum = 0, squares = 0;
  for (size_t i = 1; i < plan.size(); ++i) {
    const double gap = static_cast<double>(plan[i].at - plan[i - 1].at) / kSecond;
    sum += gap;
    squares += gap * gap;
  }
  const double n = static_cast<double>(plan.size() - 1);
  const double mean = sum / n;
  return {mean, std::sqrt(squares / n - mean * mean) / mean};
}

// A Gamma distribution of shape k has a coefficient of variation of 1/sqrt(k).
TEST(MakeWorkload, GapsHaveTheRateAndTheBurstinessAskedFor) {
  for (double burstiness : {0.25, 1.0, 4.0}) {
    const Moments moments = gap_moments(burstiness);
    EXPECT_NEAR(moments.mean, 0.02, 0.001) << burstiness;
    EXPECT_NEAR(moments.variation, 1 / std::sqrt(burstiness), 0.07 / std::sqrt(burstiness))
        << burstiness;
  }
}

TEST(MakeWorkload, LengthsStayInTheirSpread) {
  WorkloadOptions options;
  options.length_spread = 0.5;
  options.prompt_tokens = 100;
  options.output_tokens = 10;
  for (const PlannedRequest& request : make_workload(options)) {
    EXPECT_TRUE(request.prompt_tokens >= 50 && request.prompt_tokens <= 150);
    EXPECT_TRUE(request.output_tokens >= 5 && request.output_tokens <= 15);
    EXPECT_EQ(request.at, 0);
  }
}

TEST(LoadTrace, ReadsCsvWithDates) {
  const auto path = temporary("trace.csv",
                              "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
                              "2023-12-31 23:59:59.5000000,374,44\r\n"
                              "2024-01-01 00:00:01.0000000,396,109\r\n");
  const auto plan = load_trace(path, 10, 0.5);
  ASSERT_EQ(plan.size(), 2u);
  EXPECT_EQ(plan[0].prompt_tokens, 374);
  EXPECT_EQ(plan[1].output_tokens, 109);
  EXPECT_EQ(plan[1].at, 3 * kSecond);
}

TEST(LoadTrace, ReadsPlainNames) {
  const auto path = temporary("plain.csv", "arrival,input,output\n0.5,7,3\n1.5,8,4\n");
  const auto plan = load_trace(path, 10, 1);
  ASSERT_EQ(plan.size(), 2u);
  EXPECT_EQ(plan[1].at, kSecond);
  EXPECT_EQ(plan[1].prompt_tokens, 8);
  EXPECT_EQ(plan[0].output_tokens, 3);
}

TEST(LoadTrace, ReadsJsonl) {
  const auto path = temporary("trace.jsonl",
                              "{\"timestamp\": 1000, \"input_length\": 7, \"output_length\": 3}\n"
                              "{\"timestamp\": 4000, \"input_length\": 8, \"output_length\": 4}\n");
  EXPECT_EQ(load_trace(path, 10, 1)[1].at, 3 * kSecond);
  EXPECT_EQ(load_trace(path, 1, 1).size(), 1u);
}

TEST(LoadTrace, NamesWhatIsWrong) {
  EXPECT_EQ(error_of(temporary("a.csv", "x,y\n1,2\n")),
            "the first line has no column such as 'TIMESTAMP'");
  EXPECT_EQ(error_of(temporary("b.csv", "time,ContextTokens,GeneratedTokens\n1,many,3\n")),
            "line 2, column 2 is not a count of tokens");
  EXPECT_EQ(error_of(temporary("c.csv", "time,ContextTokens,GeneratedTokens\n")),
            "the trace has no requests");
}

}  // namespace
}  // namespace hearth::load
