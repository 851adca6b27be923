// Gavel's traces: one job a line, tab-separated and without a header (job type, command, argument,
// needs data, steps, arrival in seconds, devices), and measured steps a second by kind of device.
#include <algorithm>
#include <fmt/format.h>

#include "base/error.h"
#include "io/json.h"
#include "sim/forge_csv.h"
#include "sim/forge_traces.h"

namespace hearth::sim {

using namespace forge;

namespace {

constexpr size_t kColumns = 7;
// Of the evaluation in the paper.
constexpr int32_t kNodesAKind = 9, kDevicesANode = 4;
struct GavelKind {
  const char* name;
  int32_t memory_gb;
  int32_t power_w;
};
constexpr GavelKind kGavelKinds[] = {{"k80", 12, 300}, {"p100", 16, 250}, {"v100", 16, 300}};

FleetSpec gavel_fleet() {
  FleetSpec fleet;
  fleet.regions = {{"one", 0}};
  for (const GavelKind& kind : kGavelKinds) {
    const auto id = static_cast<int32_t>(fleet.kinds.size());
    fleet.kinds.push_back({kind.name, kind.memory_gb, kind.power_w});
    fleet.clusters.push_back({kind.name, 0});
    for (int32_t n = 0; n < kNodesAKind; ++n)
      fleet.nodes.push_back({fmt::format("{}-{}", kind.name, n), id, id, kDevicesANode});
  }
  const auto kinds = static_cast<int32_t>(std::size(kGavelKinds));
  fleet.virtual_clusters = {{"all", -1, kinds * kNodesAKind * kDevicesANode}};
  return fleet;
}

std::shared_ptr<const RateTable> rates_of(const io::Json& measured, const std::string& type,
                                          int32_t devices) {
  const auto rate = [&](const GavelKind& kind, int32_t size) {
    const std::string key = fmt::format("('{}', {})", type, size);
    if (!measured.contains(kind.name) || !measured[kind.name].contains(key)) return 0.0;
    return io::json_require<double>(measured[kind.name][key], "null", "throughputs " + key);
  };
  auto table = std::make_shared<RateTable>();
  for (const GavelKind& kind : kGavelKinds) {
    std::vector<double>& row = table->rates.emplace_back(static_cast<size_t>(devices) + 1, 0.0);
    const double together = rate(kind, devices);
    row.back() = together > 0 ? together : devices * rate(kind, 1);
  }
  const bool known = std::any_of(table->rates.begin(), table->rates.end(),
                                 [](const auto& row) { return row.back() > 0; });
  if (!known) throw_error(ErrorCode::kNotFound, "throughputs", "no rates of '{}'", type);
  return table;
}

}  // namespace

ForgeTrace gavel_trace(std::string_view jobs, std::string_view throughputs) {
  const io::Json measured = io::parse_json(throughputs, "throughputs");
  std::map<std::pair<std::string, int32_t>, std::shared_ptr<const RateTable>> known;
  ForgeTrace trace{gavel_fleet(), {}};
  for (std::string_view line : split(jobs, '\n')) {
    const std::vector<std::string_view> cells = split(line, '\t');
    const std::string where = fmt::format("trace line {}", trace.jobs.size() + 1);
    if (cells.size() != kColumns)
      throw_error(ErrorCode::kDataLoss, where, "expected {} cells, found {}", kColumns,
                  cells.size());
    const std::string type(cells[0]);
    const auto devices = static_cast<int32_t>(number_of(cells[6], where + " devices"));
    auto& rates = known[{type, devices}];
    if (!rates) rates = rates_of(measured, type, devices);
    ReplayJob job;
    job.spec.name = type;
    job.spec.min_workers = job.spec.max_workers = devices;
    job.spec.rates = rates;
    job.work = number_of(cells[4], where + " steps");
    job.submit_at = static_cast<Millis>(number_of(cells[5], where + " arrival") * 1000);
    double fastest = 0;
    for (size_t k = 0; k < rates->rates.size(); ++k) {
      const double rate = rates->at(static_cast<KindId>(k), devices);
      if (rate > 0) job.spec.kinds.push_back(static_cast<KindId>(k));
      fastest = std::max(fastest, rate);
    }
    // On any of them: a list would be an order of preference.
    if (job.spec.kinds.size() == rates->rates.size()) job.spec.kinds.clear();
    job.spec.expected = static_cast<Millis>(job.work / fastest * 1000);
    job.phases = {{0, rates}};
    trace.jobs.push_back(std::move(job));
  }
  std::ranges::stable_sort(trace.jobs, {}, &ReplayJob::submit_at);
  return trace;
}

}  // namespace hearth::sim
