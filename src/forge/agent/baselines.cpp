#include "forge/agent/baselines.h"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <thread>

#include "io/file.h"

namespace hearth::forge {
namespace {

constexpr size_t kLearnt = 5;  // rounds
constexpr const char* kBetween = " | ";

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

Baselines::Baselines(std::string path, std::string hardware)
    : path_(std::move(path)), hardware_(std::move(hardware)) {
  std::ifstream in(path_);
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(kBetween), second = line.find(kBetween, first + 1);
    if (second == std::string::npos) continue;
    std::istringstream values(line.substr(second + 3));
    auto& into = known_[{line.substr(0, first), line.substr(first + 3, second - first - 3)}];
    for (double value = 0; values >> value;) into.push_back(value);
  }
}

CheckResult Baselines::judge(const std::string& name, double value, const std::string& unit,
                             double part_min) {
  std::vector<double>& known = known_[{hardware_, name}];
  if (known.size() < kLearnt) {
    known.push_back(value);
    save();
    return {name, true, fmt::format("{:.1f} {}, learnt", value, unit)};
  }
  const double usual = median(known);
  return {name, value >= part_min * usual,
          fmt::format("{:.1f} {}; this hardware does {:.1f}", value, unit, usual)};
}

void Baselines::save() const {
  std::string out;
  for (const auto& [key, values] : known_)
    out += fmt::format("{}{}{}{}{:.4g}\n", key.first, kBetween, key.second, kBetween,
                       fmt::join(values, " "));
  io::write_file_atomic(path_, out);
}

std::string hardware_name() {
  std::ifstream in("/proc/cpuinfo");
  std::string name = "processor";
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("model name")) continue;
    name = line.substr(line.find(':') + 2);
    break;
  }
  return fmt::format("{} x {}", std::thread::hardware_concurrency(), name);
}

}  // namespace hearth::forge
