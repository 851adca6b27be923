#include "load/report.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace hearth::load {
namespace {

RequestRecord answered(Nanos sent, std::vector<Nanos> token_times) {
  RequestRecord record;
  record.sent = sent * kMillisecond;
  for (Nanos time : token_times) record.token_times.push_back(time * kMillisecond);
  record.ended = record.token_times.back();
  record.output_tokens = static_cast<int64_t>(token_times.size());
  record.status = 200;
  return record;
}

TEST(Report, MeasuresFromTheMomentOfSending) {
  const Report report = make_report({answered(100, {150, 160, 180})}, {});
  EXPECT_DOUBLE_EQ(report.ttft.median_ms, 50);
  EXPECT_DOUBLE_EQ(report.tpot.median_ms, 15);
  EXPECT_DOUBLE_EQ(report.itl.median_ms, 10);
  EXPECT_DOUBLE_EQ(report.itl.p99_ms, 20);
  EXPECT_DOUBLE_EQ(report.e2e.median_ms, 80);
  EXPECT_FALSE(report.goodput_per_second);
}

TEST(Report, GoodputCountsOnlyThoseInsideEveryBound) {
  const auto level = parse_service_level("ttft:60,tpot:12");
  const Report report = make_report(
      {answered(0, {50, 60}), answered(0, {70, 80}), answered(0, {50, 70, 1000})}, level);
  EXPECT_DOUBLE_EQ(*report.goodput_per_second, 1.0);
}

TEST(Report, FailuresAreCountedByTheirText) {
  RequestRecord refused;
  refused.error = "HTTP 503";
  const Report report = make_report({refused, refused, answered(0, {1, 2})}, {});
  EXPECT_EQ(report.failed, 2);
  ASSERT_EQ(report.errors.size(), 1u);
  EXPECT_EQ(report.errors[0], std::make_pair(std::string("HTTP 503"), int64_t{2}));
}

TEST(Report, NothingAtAllIsAReportToo) { EXPECT_EQ(make_report({}, {}).succeeded, 0); }

TEST(ServiceLevel, NamesWhatIsWrong) {
  EXPECT_THROW(parse_service_level("ttft"), Error);
  EXPECT_THROW(parse_service_level("ttft:x"), Error);
  EXPECT_THROW(parse_service_level("itl:5"), Error);
  EXPECT_EQ(parse_service_level("e2el:2.5").e2e, 2'500'000);
}

}  // namespace
}  // namespace hearth::load
