// A trace's jobs on a fleet of the user's.
#include <algorithm>

#include "base/error.h"
#include "sim/forge_traces.h"

namespace hearth::sim {

using namespace forge;

namespace {

using Tables = std::map<const RateTable*, std::shared_ptr<const RateTable>>;

// The number in `there` of what is called the same `here`; -1: none.
template <typename List>
std::vector<int32_t> numbers(const List& here, const List& there) {
  std::vector<int32_t> out;
  for (const auto& item : here) {
    const auto found = std::find_if(there.begin(), there.end(),
                                    [&](const auto& other) { return other.name == item.name; });
    out.push_back(found == there.end() ? -1 : static_cast<int32_t>(found - there.begin()));
  }
  return out;
}

std::shared_ptr<const RateTable> moved(const std::shared_ptr<const RateTable>& rates,
                                       const std::vector<int32_t>& kinds, size_t count,
                                       Tables& done) {
  std::shared_ptr<const RateTable>& known = done[rates.get()];
  if (known || !rates) return known;
  auto table = std::make_shared<RateTable>();
  table->rates.assign(count, {0});
  for (size_t k = 0; k < rates->rates.size(); ++k) {
    if (kinds[k] >= 0) table->rates[static_cast<size_t>(kinds[k])] = rates->rates[k];
  }
  return known = table;
}

}  // namespace

ForgeTrace on_fleet(const ForgeTrace& trace, const FleetSpec& fleet) {
  const std::vector<int32_t> kinds = numbers(trace.fleet.kinds, fleet.kinds);
  const std::vector<int32_t> vcs = numbers(trace.fleet.virtual_clusters, fleet.virtual_clusters);
  ForgeTrace out{fleet, trace.jobs};
  Tables done;
  for (ReplayJob& job : out.jobs) {
    JobSpec& spec = job.spec;
    spec.vc = std::max(0, vcs[static_cast<size_t>(spec.vc)]);
    std::vector<KindId> wanted;
    for (size_t k = 0; k < kinds.size(); ++k) {
      const auto kind = static_cast<KindId>(k);
      const bool named = std::find(spec.kinds.begin(), spec.kinds.end(), kind) != spec.kinds.end();
      if (kinds[k] >= 0 && (named || (spec.rates && spec.kinds.empty())))
        wanted.push_back(kinds[k]);
    }
    if (wanted.empty() && (spec.rates || !spec.kinds.empty())) {
      throw_error(ErrorCode::kInvalidArgument, "cluster",
                  "job '{}' runs on none of this fleet's kinds; name them as the trace does",
                  spec.name);
    }
    spec.kinds = std::move(wanted);
    spec.rates = moved(spec.rates, kinds, fleet.kinds.size(), done);
    for (ReplayPhase& phase : job.phases)
      phase.rates = moved(phase.rates, kinds, fleet.kinds.size(), done);
  }
  return out;
}

}  // namespace hearth::sim
