#include "forge/agent/link_checks.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/error.h"
#include "base/log.h"
#include "forge/agent/baselines.h"
#include "io/json.h"

namespace hearth::forge {
namespace {

constexpr int64_t kAnswerMs = 5'000;
// Below this every way is as good as any: a machine whose cores are all at work answers late.
constexpr double kRoundTripFloorMs = 5;
// Of the usual. What passes through a link varies more than what a core does.
constexpr double kPartMin = 0.1;

}  // namespace

LinkChecks::LinkChecks(LinkCheckOptions options, transport::HttpClient& http, const Clock& clock)
    : options_(std::move(options)),
      http_(http),
      clock_(clock),
      random_(static_cast<uint64_t>(clock.wall())) {}

std::vector<LinkResult> LinkChecks::round() {
  std::vector<LinkResult> out;
  for (const Known& known : ask_for_peers()) {
    const LinkVisit visit = measure_link(known.peer, clock_);
    if (visit.end == LinkEnd::kClosed)
      log::warn("a node lets nobody try the way to it node={} reason=\"{}\"", known.peer.name,
                visit.text);
    if (visit.end != LinkEnd::kMeasured && visit.end != LinkEnd::kSilent) continue;
    if (std::optional<LinkResult> result = judge(known, visit)) out.push_back(std::move(*result));
  }
  return out;
}

std::vector<LinkChecks::Known> LinkChecks::ask_for_peers() {
  std::vector<Known> out;
  try {
    const transport::HttpResponse answer =
        http_.send({.method = "GET",
                    .url = fmt::format("/v1/forge/agents/{}/peers?count={}&from={}", options_.node,
                                       options_.peers, random_.below(1 << 30)),
                    .headers = {{"Authorization", "Bearer " + options_.token}},
                    .body = {},
                    .silence_timeout_ms = kAnswerMs});
    if (answer.status != 200) return out;
    const io::Json json = io::parse_json(answer.body, "peers");
    for (const io::Json& line : json.at("peers")) {
      const auto name = line.at("name").get<std::string>();
      out.push_back({line.at("node").get<NodeId>(),
                     line.at("kind").get<std::string>(),
                     {name, line.at("url").get<std::string>(), link_key(options_.token, name)}});
    }
  } catch (const Error& error) {
    // A server that is silent is the leases' matter.
    if (error.code != ErrorCode::kIo) throw;
  }
  return out;
}

std::optional<LinkResult> LinkChecks::judge(const Known& known, const LinkVisit& visit) const {
  const std::string& name = known.peer.name;
  if (visit.end == LinkEnd::kSilent)
    return LinkResult{known.node, false, fmt::format("with {}: {}", name, visit.text)};
  Baselines baselines(options_.baselines, hardware_name());
  const CheckResult soon =
      baselines.judge(fmt::format("link to {}", known.kind),
                      1'000 / std::max(visit.speed.round_trip_ms, kRoundTripFloorMs),
                      "round trips a second", kPartMin);
  const auto judge_bandwidth = [&](double gb_s) {
    return baselines.judge(fmt::format("bandwidth to {}", known.kind), gb_s * 1'000,
                           "MB/s, the slower way", kPartMin);
  };
  const CheckResult much = judge_bandwidth(visit.speed.gb_s);
  if (!much.good && judge_bandwidth(visit.speed.busy_gb_s).good) return std::nullopt;
  const CheckResult& worse = soon.good ? much : soon;
  return LinkResult{known.node, worse.good, fmt::format("with {}: {}", name, worse.text)};
}

}  // namespace hearth::forge
