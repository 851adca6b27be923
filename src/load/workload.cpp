#include "load/workload.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/random.h"
#include "io/file.h"
#include "io/json.h"

namespace hearth::load {
namespace {

void require(bool holds, const char* option, const char* rule) {
  if (!holds) throw_error(ErrorCode::kInvalidArgument, option, "{}", rule);
}

// Gamma(shape, 1) by Marsaglia and Tsang (2000); shapes below 1 through the boost of their
// section 6.
double gamma(Random& random, double shape) {
  if (shape < 1) {
    const double boosted = gamma(random, shape + 1);
    return boosted * std::pow(1 - random.uniform(), 1 / shape);
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = random.normal();
    const double v = std::pow(1 + c * x, 3);
    if (v <= 0) continue;
    if (std::log(1 - random.uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

int32_t spread_length(Random& random, int32_t length, double spread) {
  const auto low = static_cast<int64_t>(std::floor(length * (1 - spread)));
  const auto high = static_cast<int64_t>(std::ceil(length * (1 + spread)));
  return static_cast<int32_t>(std::max<int64_t>(1, random.between(low, high)));
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string lower_letters(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c >= 'A' && c <= 'Z') out.push_back(static_cast<char>(c + 32));
    if (c >= 'a' && c <= 'z') out.push_back(c);
  }
  return out;
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "2023-11-16 18:17:03.9799600", days counted as in the proleptic Gregorian calendar (Hinnant's
// days_from_civil).
std::optional<double> parse_date_time(std::string_view text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0;
  double second = 0;
  const std::string copy(text);
  if (std::sscanf(copy.c_str(), "%d-%d-%d%*[ T]%d:%d:%lf", &year, &month, &day, &hour, &minute,
                  &second) != 6) {
    return std::nullopt;
  }
  year -= month <= 2 ? 1 : 0;
  const int64_t era = year / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int64_t days =
      era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return static_cast<double>(days) * 86400 + hour * 3600 + minute * 60 + second;
}

struct TraceLine {
  double seconds = 0;
  int32_t prompt_tokens = 0;
  int32_t output_tokens = 0;
};

class CsvReader {
 public:
  CsvReader(std::string_view header, std::string path) : path_(std::move(path)) {
    const auto names = split(header, ',');
    columns_ = {
        find(names, {"timestamp", "arrival", "arrivaltime", "time"}, "TIMESTAMP"),
        find(names,
             {"contexttokens", "inputlength", "inputtokens", "input", "prompttokens",
              "numprefilltokens"},
             "ContextTokens"),
        find(names,
             {"generatedtokens", "outputlength", "outputtokens", "output", "numdecodetokens"},
             "GeneratedTokens")};
  }

  TraceLine read(std::string_view line, size_t number) const {
    const auto cells = split(line, ',');
    const auto cell = [&](size_t column) {
      if (column >= cells.size()) fail(number, column, "is missing");
      return cells[column];
    };
    const auto count = [&](size_t column) {
      const auto value = parse_number(cell(column));
      if (!value || *value < 0 || *value > 1e9) fail(number, column, "is not a count of tokens");
      return static_cast<int32_t>(*value);
    };
    auto seconds = parse_number(cell(columns_[0]));
    if (!seconds) seconds = parse_date_time(cell(columns_[0]));
    if (!seconds) fail(number, columns_[0], "is neither seconds nor a date with time");
    return {*seconds, count(columns_[1]), count(columns_[2])};
  }

 private:
  size_t find(const std::vector<std::string_view>& names,
              std::initializer_list<std::string_view> known, const char* usual) const {
    for (size_t i = 0; i < names.size(); ++i) {
      for (std::string_view name : known) {
        if (lower_letters(names[i]) == name) return i;
      }
    }
    throw_error(ErrorCode::kInvalidArgument, path_, "the first line has no column such as '{}'",
                usual);
  }

  [[noreturn]] void fail(size_t line, size_t column, const char* problem) const {
    throw_error(ErrorCode::kInvalidArgument, path_, "line {}, column {} {}", line, column + 1,
                problem);
  }

  std::string path_;
  std::array<size_t, 3> columns_{};
};

TraceLine read_jsonl(std::string_view line, const std::string& where) {
  const io::Json object = io::parse_json(line, where);
  return {io::json_require<double>(object, "timestamp", where) / 1000,
          io::json_require<int32_t>(object, "input_length", where),
          io::json_require<int32_t>(object, "output_length", where)};
}

}  // namespace

std::vector<PlannedRequest> make_workload(const WorkloadOptions& options) {
  require(options.requests > 0, "--requests", "must be at least 1");
  require(options.requests_per_second >= 0, "--request-rate", "must not be negative");
  require(options.burstiness > 0, "--burstiness", "must be positive; 1 is Poisson");
  require(options.prompt_tokens > 0 && options.output_tokens > 0,
          "--prompt-tokens, --output-tokens", "must be positive");
  require(options.length_spread >= 0 && options.length_spread < 1, "--length-spread",
          "must be in [0, 1)");
  Random random(options.seed);
  std::vector<PlannedRequest> plan;
  double seconds = 0;
  for (int64_t i = 0; i < options.requests; ++i) {
    plan.push_back({static_cast<Nanos>(seconds * kSecond),
                    spread_length(random, options.prompt_tokens, options.length_spread),
                    spread_length(random, options.output_tokens, options.length_spread)});
    if (options.requests_per_second > 0) {
      seconds +=
          gamma(random, options.burstiness) / options.burstiness / options.requests_per_second;
    }
  }
  return plan;
}

std::vector<PlannedRequest> load_trace(const std::string& path, int64_t requests, double speed) {
  require(speed > 0, "--trace-speed", "must be positive");
  const std::string text = io::read_file(path);
  const bool jsonl = text.starts_with('{');
  std::optional<CsvReader> csv;
  std::vector<PlannedRequest> plan;
  double start = 0;
  size_t number = 0;
  for (std::string_view line : split(text, '\n')) {
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    if (!jsonl && !csv) {
      csv.emplace(line, path);
      continue;
    }
    if (static_cast<int64_t>(plan.size()) == requests) break;
    const TraceLine entry =
        jsonl ? read_jsonl(line, fmt::format("{}:{}", path, number)) : csv->read(line, number);
    if (plan.empty()) start = entry.seconds;
    plan.push_back({static_cast<Nanos>(std::max(0.0, entry.seconds - start) / speed * kSecond),
                    std::max(1, entry.prompt_tokens), std::max(1, entry.output_tokens)});
  }
  if (plan.empty()) throw_error(ErrorCode::kInvalidArgument, path, "the trace has no requests");
  std::stable_sort(plan.begin(), plan.end(),
                   [](const auto& a, const auto& b) { return a.at < b.at; });
  return plan;
}

}  // namespace hearth::load
