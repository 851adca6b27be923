// What a load test found: the figures that serving engines are compared by.
//
//   TTFT  request sent to first token            TPOT  (E2E - TTFT) / (tokens - 1), per request
//   ITL   each gap between two tokens            E2E   request sent to last byte
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "io/json_fwd.h"

namespace hearth::load {

struct RequestRecord {
  Nanos sent = 0;  // since the start of the test
  Nanos late = 0;  // sent this much after its planned time, because all connections were busy
  Nanos ended = 0;
  std::vector<Nanos> token_times;  // when each piece of the answer arrived
  int64_t prompt_tokens = 0;       // as the server counted
  int64_t cached_tokens = 0;
  int64_t output_tokens = 0;
  int status = 0;     // HTTP; 0 when no answer came
  std::string error;  // empty: the request succeeded
};

// Bounds that a request must keep to count for goodput; absent ones are not asked.
struct ServiceLevel {
  std::optional<Nanos> ttft;
  std::optional<Nanos> tpot;
  std::optional<Nanos> e2e;
};

// "ttft:500,tpot:50,e2el:2000", in milliseconds. Throws Error{kInvalidArgument} naming the part.
ServiceLevel parse_service_level(const std::string& text);

struct Distribution {
  double mean_ms = 0;
  double median_ms = 0;
  double p90_ms = 0;
  double p99_ms = 0;
};

struct Report {
  int64_t succeeded = 0;
  int64_t failed = 0;
  double duration_s = 0;
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t output_tokens = 0;
  Distribution ttft, tpot, itl, e2e;
  double late_p99_ms = 0;
  std::optional<double> goodput_per_second;  // requests inside the service level, per second
  std::vector<std::pair<std::string, int64_t>> errors;  // text and how often
};

Report make_report(const std::vector<RequestRecord>& records, const ServiceLevel& level);
std::string report_table(const Report& report);
io::Json report_json(const Report& report);

}  // namespace hearth::load
