#include "forge/server/job_json.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/error.h"
#include "forge/server/server.h"
#include "io/json.h"

namespace hearth::forge {
namespace {

using testing::HasSubstr;

JobSpec read(const std::string& text) {
  return job_from_json(io::parse_json(text, "job"), single_fleet());
}

std::string refusal(const std::string& text) {
  try {
    read(text);
    return "taken";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(JobJson, ReadsWhatAnOwnerWrites) {
  const JobSpec spec = read(R"({"command": ["a", "b"], "tier": "premium", "expected_s": 1.5,
    "workers": {"min": 2, "max": 4, "share": 0.25, "process": "per-node"},
    "place": {"regions": ["local"], "locality": "node", "spot": true},
    "stop": {"grace_s": 5}, "environment": {"A": "1"}, "key": "k"})");
  EXPECT_EQ(spec.name, "a");
  EXPECT_EQ(spec.tier, Tier::kPremium);
  EXPECT_EQ(spec.share_milli, 250);
  EXPECT_EQ(spec.max_workers, 4);
  EXPECT_EQ(spec.locality, Locality::kNode);
  EXPECT_EQ(spec.expected, 1'500);
  EXPECT_EQ(spec.program->spawn, Spawn::kPerNode);
  EXPECT_EQ(spec.program->grace_ms, 5'000);
  EXPECT_EQ(spec.program->environment, std::vector<std::string>{"A=1"});
  EXPECT_GT(spec.rates->at(0, 4), spec.rates->at(0, 2));
}

TEST(JobJson, RefusesInWordsThatHelp) {
  EXPECT_THAT(refusal("{}"), HasSubstr("'command' is missing"));
  EXPECT_THAT(refusal(R"({"command": ["a"], "teir": "x"})"), HasSubstr("no field 'teir'"));
  EXPECT_THAT(refusal(R"({"command": ["a"], "type": "x"})"), HasSubstr("training, inference"));
  EXPECT_THAT(refusal(R"({"command": ["a"], "place": {"kinds": ["tpu"]}})"),
              HasSubstr("there are: cpu"));
  EXPECT_THAT(refusal(R"({"command": ["a"], "workers": {"share": 2}})"), HasSubstr("at most 1"));
  EXPECT_THAT(refusal(R"({"command": ["a"], "environment": {"N": 1}})"), HasSubstr("need quotes"));
  EXPECT_THAT(refusal(R"({"command": ["a"], "workers": [1]})"), HasSubstr("expected an object"));
  for (const char* time : {"-1", "1e300"}) {
    EXPECT_THAT(refusal(fmt::format(R"({{"command": ["a"], "expected_s": {}}})", time)),
                HasSubstr("job.expected_s: expected a time"));
    EXPECT_THAT(refusal(fmt::format(R"({{"command": ["a"], "stop": {{"cost_s": {}}}}})", time)),
                HasSubstr("stop.cost_s: expected a time"));
  }
}

}  // namespace
}  // namespace hearth::forge
