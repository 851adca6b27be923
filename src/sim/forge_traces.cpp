#include "sim/forge_traces.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "base/error.h"
#include "sim/forge_csv.h"

namespace hearth::sim {

using namespace forge;

namespace {

// --- Sia ---------------------------------------------------------------------------------------

struct SiaKind {
  const char* profile;
  int32_t nodes;
  int32_t devices;
};
// Cheapest first.
constexpr SiaKind kSiaKinds[] = {{"aws", 6, 4}, {"rtx", 3, 8}, {"dgx-ext", 2, 8}};

struct SiaApplication {
  const char* name;
  size_t epochs;
  Millis restart;
  double slowdown;  // of real runs against the profiles, as published with them
};
constexpr SiaApplication kSiaApplications[] = {
    {"bert", 2, 120'000, 1.2},      {"cifar10", 100, 50'000, 1.8},    {"ncf", 10, 15'000, 1.5},
    {"imagenet", 90, 250'000, 1.2}, {"deepspeech2", 80, 25'000, 1.2}, {"yolov3", 50, 80'000, 1.2},
};

// One measured size: times by batch per worker.
struct Curve {
  std::map<double, std::pair<double, double>> times;  // local batch -> (step, sync) seconds

  std::pair<double, double> at(double batch) const {
    const auto above = times.lower_bound(batch);
    if (above == times.end()) return std::prev(above)->second;
    if (above == times.begin() || above->first == batch) return above->second;
    const auto below = std::prev(above);
    const double part = (batch - below->first) / (above->first - below->first);
    return {std::lerp(below->second.first, above->second.first, part),
            std::lerp(below->second.second, above->second.second, part)};
  }
};

const std::string& profile(const std::map<std::string, std::string>& profiles,
                           const std::string& name) {
  const auto found = profiles.find(name);
  if (found == profiles.end()) {
    throw_error(ErrorCode::kNotFound, name,
                "no such profile; --profiles names the folder that holds "
                "one folder for each application");
  }
  return found->second;
}

// Measured times by number of workers, packed on as few nodes as their number allows.
std::map<int32_t, Curve> curves_of(const std::map<std::string, std::string>& profiles,
                                   const std::string& application, const SiaKind& kind) {
  std::map<int32_t, Curve> curves;
  const auto add = [&](int32_t nodes, int32_t workers, const CsvTable& table, size_t row) {
    if (workers > kind.nodes * kind.devices) return;
    if (nodes != (workers + kind.devices - 1) / kind.devices) return;
    curves[workers].times.try_emplace(table.number(row, "local_bsz"),
                                      table.number(row, "step_time"),
                                      table.number(row, "sync_time"));
  };
  const std::string placements = fmt::format("{}/placements-{}.csv", application, kind.profile);
  const CsvTable placed(profile(profiles, placements), placements);
  for (size_t row = 0; row < placed.size(); ++row) {
    const std::string_view digits = placed.text(row, "placement");
    int32_t workers = 0;
    for (char digit : digits) workers += digit - '0';
    add(static_cast<int32_t>(digits.size()), workers, placed, row);
  }
  const std::string scalability = fmt::format("{}/scalability-{}.csv", application, kind.profile);
  const CsvTable scaled(profile(profiles, scalability), scalability);
  for (size_t row = 0; row < scaled.size(); ++row) {
    add(static_cast<int32_t>(scaled.number(row, "num_nodes")),
        static_cast<int32_t>(scaled.number(row, "num_replicas")), scaled, row);
  }
  return curves;
}

struct Gradient {
  double sqr = 0;
  double var = 0;
};

class SiaModel {
 public:
  SiaModel(const SiaApplication& app, const std::map<std::string, std::string>& profiles)
      : app_(app) {
    const std::string prefix = std::string(app.name) + "/validation-";
    for (auto it = profiles.lower_bound(prefix);
         it != profiles.end() && it->first.starts_with(prefix); ++it) {
      read_validation(std::stod(it->first.substr(prefix.size())), CsvTable(it->second, it->first));
    }
    if (gradients_.empty()) throw_error(ErrorCode::kNotFound, prefix + "*.csv", "no such profile");
    for (const SiaKind& kind : kSiaKinds) curves_.push_back(curves_of(profiles, app.name, kind));
    for (size_t epoch = 0; epoch < app.epochs; ++epoch) add_phase(epoch);
  }
  double work() const { return progress_[app_.epochs - 1]; }
  const std::vector<ReplayPhase>& phases() const { return phases_; }
  int32_t max_workers() const {
    int32_t most = 1;
    for (const auto& by_workers : curves_) {
      if (!by_workers.empty()) most = std::max(most, by_workers.rbegin()->first);
    }
    return most;
  }

 private:
  void read_validation(double batch, const CsvTable& table) {
    progress_.resize(std::max(progress_.size(), app_.epochs), 1e300);
    for (size_t e = 0; e < app_.epochs; ++e) {
      progress_[e] = std::min(progress_[e], table.number(e, "progress"));
      gradients_[batch].push_back({table.number(e, "grad_sqr"), table.number(e, "grad_var")});
    }
  }

  Gradient gradient(double batch, size_t epoch) const {
    auto above = gradients_.lower_bound(batch);
    if (above == gradients_.end()) --above;
    if (above == gradients_.begin() || above->first <= batch) return above->second[epoch];
    const auto below = std::prev(above);
    const double part = (batch - below->first) / (above->first - below->first);
    return {std::lerp(below->second[epoch].sqr, above->second[epoch].sqr, part),
            std::lerp(below->second[epoch].var, above->second[epoch].var, part)};
  }

  // The best over total batch sizes of steps a second times what a step is worth.
  double goodput(const Curve& curve, int32_t workers, size_t epoch) const {
    constexpr int kSizes = 40;
    const double first = gradients_.begin()->first;
    const double low_local = curve.times.begin()->first;
    const double high_local = curve.times.rbegin()->first;
    const double low = std::max(first, low_local * workers);
    const double high = gradients_.rbegin()->first;
    double best = 0;
    for (int i = 0; i < kSizes && low <= high; ++i) {
      const double batch = low * std::pow(high / low, double(i) / (kSizes - 1));
      const double local = batch / workers;
      double extra = std::ceil(local / high_local - 1e-8) - 1;
      // Gradient noise cannot be measured from a single part of a batch.
      if (workers == 1 && local > first + 1e-8) extra = std::max(extra, 1.0);
      if (local / (extra + 1) < low_local) continue;
      const auto [step, sync] = curve.at(local / (extra + 1));
      const Gradient g = gradient(batch, epoch);
      const double gain = (g.var + g.sqr) / (g.var * first / batch + g.sqr);
      best = std::max(best, gain / (step + extra * (step - sync)));
    }
    return best / app_.slowdown;
  }

  void add_phase(size_t epoch) {
    auto table = std::make_shared<RateTable>();
    for (const auto& by_workers : curves_) {
      std::vector<double>& row = table->rates.emplace_back(1, 0.0);
      // Between two measured sizes a job runs no faster than on the smaller one.
      const int32_t most = by_workers.empty() ? 0 : by_workers.rbegin()->first;
      for (int32_t w = 1; w <= most; ++w) {
        const auto measured = by_workers.find(w);
        row.push_back(measured == by_workers.end() ? row.back()
                                                   : goodput(measured->second, w, epoch));
      }
    }
    phases_.push_back({epoch == 0 ? 0 : progress_[epoch - 1], std::move(table)});
  }

  SiaApplication app_;
  std::map<double, std::vector<Gradient>> gradients_;  // by total batch size, then epoch
  std::vector<double> progress_;                       // at the end of each epoch
  std::vector<std::map<int32_t, Curve>> curves_;       // by kind, then workers
  std::vector<ReplayPhase> phases_;
};

FleetSpec sia_fleet() {
  FleetSpec fleet;
  fleet.regions = {{"one", 0}};
  int32_t total = 0;
  for (const SiaKind& kind : kSiaKinds) {
    const auto id = static_cast<int32_t>(fleet.kinds.size());
    fleet.kinds.push_back({kind.profile, 0, 0});
    fleet.clusters.push_back({kind.profile, 0});
    for (int32_t n = 0; n < kind.nodes; ++n) {
      fleet.nodes.push_back({fmt::format("{}-{}", kind.profile, n), id, id, kind.devices});
      total += kind.devices;
    }
  }
  fleet.virtual_clusters = {{"all", -1, total}};
  return fleet;
}

// Seconds since some day of "2017-10-09 07:01:55".
double seconds_of(std::string_view stamp, const std::string& where) {
  int y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0;
  if (std::sscanf(std::string(stamp).c_str(), "%d-%d-%d %d:%d:%d", &y, &mo, &d, &h, &mi, &s) != 6) {
    throw_error(ErrorCode::kDataLoss, where, "expected 'year-month-day h:m:s', found '{}'", stamp);
  }
  // Days of the civil calendar, the year starting in March.
  const int year = mo <= 2 ? y - 1 : y;
  const int month = (mo + 9) % 12;
  const double days =
      365.0 * year + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + d;
  return days * 86400 + h * 3600 + mi * 60 + s;
}

// The Philly list's first `days` days, by time.
struct PhillyRow {
  double at, seconds;
  int32_t devices;
  std::string_view vc;
};

std::vector<PhillyRow> philly_rows(std::string_view list, int32_t days) {
  const CsvTable table(list, "philly");
  std::vector<PhillyRow> rows;
  for (size_t i = 0; i < table.size(); ++i) {
    rows.push_back({seconds_of(table.text(i, "timestamp"), "philly"), table.number(i, "duration"),
                    static_cast<int32_t>(table.number(i, "num_gpus")), table.text(i, "cluster")});
  }
  std::ranges::stable_sort(rows, {}, &PhillyRow::at);
  const double start = rows.front().at;
  std::erase_if(rows,
                [&](const PhillyRow& r) { return r.at > start + days * 86400.0 || r.devices < 1; });
  return rows;
}

// Each virtual cluster is guaranteed its mean demand, or its largest job if that is more, in whole
// nodes, which are its own.
forge::FleetSpec philly_fleet(const std::vector<PhillyRow>& rows, Sharing sharing) {
  constexpr int32_t kNode = 8;
  struct Demand {
    double device_seconds = 0;
    int32_t largest = 0;
  };
  std::map<std::string_view, Demand> demand;
  for (const PhillyRow& r : rows) {
    demand[r.vc].device_seconds += r.seconds * r.devices;
    demand[r.vc].largest = std::max(demand[r.vc].largest, r.devices);
  }
  forge::FleetSpec fleet;
  fleet.kinds = {{"gpu", 0, 0}};
  fleet.regions = {{"one", 0}};
  fleet.clusters = {{"philly", 0}};
  const double span = std::max(1.0, rows.back().at - rows.front().at);
  for (const auto& [name, d] : demand) {
    const auto mean = static_cast<int32_t>(d.device_seconds / span);
    const int32_t guarantee = (std::max(mean, d.largest) + kNode - 1) / kNode * kNode;
    fleet.virtual_clusters.push_back(
        {std::string(name), -1, guarantee, sharing == Sharing::kStatic ? 0 : INT32_MAX});
    for (int32_t n = 0; n < guarantee / kNode; ++n) {
      fleet.nodes.push_back({fmt::format("{}-{}", name, n), 0, 0, kNode});
    }
  }
  return fleet;
}

}  // namespace

ForgeTrace sia_trace(std::string_view workload,
                     const std::map<std::string, std::string>& profiles) {
  std::map<std::string_view, SiaModel> models;
  ForgeTrace trace{sia_fleet(), {}};
  const CsvTable table(workload, "workload");
  for (size_t row = 0; row < table.size(); ++row) {
    const std::string_view name = table.text(row, "application");
    const auto app = std::find_if(std::begin(kSiaApplications), std::end(kSiaApplications),
                                  [&](const SiaApplication& a) { return name == a.name; });
    if (app == std::end(kSiaApplications)) {
      throw_error(ErrorCode::kUnsupported, "workload", "no model of application '{}'", name);
    }
    const auto [model, fresh] = models.try_emplace(app->name, *app, profiles);
    ReplayJob job;
    job.spec.name = table.text(row, "name");
    job.spec.max_workers = model->second.max_workers();
    job.spec.stop_cost = app->restart;
    job.spec.rates = model->second.phases()[0].rates;
    job.submit_at = static_cast<Millis>(table.number(row, "time") * 1000);
    job.work = model->second.work();
    job.spec.expected = static_cast<Millis>(job.work / job.spec.rates->at(0, 1) * 1000);
    job.phases = model->second.phases();
    trace.jobs.push_back(std::move(job));
  }
  return trace;
}

ForgeTrace philly_trace(std::string_view list, Sharing sharing, int32_t days) {
  const std::vector<PhillyRow> rows = philly_rows(list, days);
  ForgeTrace trace{philly_fleet(rows, sharing), {}};
  std::map<std::string_view, VcId> ids;
  for (const forge::VirtualCluster& vc : trace.fleet.virtual_clusters) {
    ids.emplace(vc.name, static_cast<VcId>(ids.size()));
  }
  for (const PhillyRow& r : rows) {
    ReplayJob job;
    job.spec.vc = ids.at(r.vc);
    job.spec.min_workers = job.spec.max_workers = r.devices;
    job.spec.expected = static_cast<Millis>(r.seconds * 1000);
    job.submit_at = static_cast<Millis>((r.at - rows.front().at) * 1000);
    job.work = r.seconds;
    trace.jobs.push_back(std::move(job));
  }
  return trace;
}

}  // namespace hearth::sim
