#include "serve/metrics.h"

#include <gtest/gtest.h>
#include <regex>

#include "io/file.h"

namespace hearth::serve {
namespace {

TEST(Histogram, CountsAndFindsQuantiles) {
  static constexpr double kBounds[] = {1, 2, 4};
  Histogram histogram(kBounds);
  EXPECT_LT(quantile(histogram.counts(), kBounds, 0.5), 0);
  for (const double value : {0.5, 1.0, 1.5, 3.0, 100.0}) histogram.observe(value);
  EXPECT_EQ(histogram.counts(), (std::vector<uint64_t>{2, 1, 1, 1}));
  EXPECT_DOUBLE_EQ(quantile(histogram.counts(), kBounds, 0.2), 0.5);
  EXPECT_DOUBLE_EQ(quantile(histogram.counts(), kBounds, 0.6), 2);
  EXPECT_DOUBLE_EQ(quantile(histogram.counts(), kBounds, 0.99), 4);
}

TEST(Metrics, AreWrittenAsPrometheusReadsThem) {
  Metrics metrics("a \"b\"\\c");
  metrics.request_success.add({"stop"}, 2);
  metrics.iteration_tokens_total.observe(3);
  const std::string text = metrics.expose({}, 5, true, {}, {});
  // Each line is a comment or NAME{LABELS} VALUE.
  static const std::regex kLine(
      R"(# (HELP|TYPE) [a-z0-9_:]+ .+|[a-z0-9_:]+(\{([a-z_]+="([^"\\]|\\.)*",?)*\})? [-+0-9.e]+|)");
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    EXPECT_TRUE(std::regex_match(line, kLine)) << line;
    at = end + 1;
  }
  EXPECT_NE(text.find(R"(le="4"} 1)"), std::string::npos);
  EXPECT_NE(text.find(R"({model_name="a \"b\"\\c",finished_reason="stop"} 2)"), std::string::npos);
}

TEST(Metrics, TheDashboardUsesOnlyWhatExists) {
  Metrics metrics("m");
  const std::string text = metrics.expose({}, 0, true, {}, {});
  const std::string dashboard =
      io::read_file(std::string(HEARTH_SOURCE_DIR) + "/docs/grafana/hearth.json");
  static const std::regex kName("(hearth:[a-z0-9_]+|http_requests_total)");
  int names = 0;
  for (std::sregex_iterator it(dashboard.begin(), dashboard.end(), kName), end; it != end; ++it) {
    std::string name = it->str();
    if (name.ends_with("_bucket")) name.resize(name.size() - 7);
    EXPECT_NE(text.find("# TYPE " + name + " "), std::string::npos) << name;
    ++names;
  }
  EXPECT_GT(names, 20);
}

}  // namespace
}  // namespace hearth::serve
