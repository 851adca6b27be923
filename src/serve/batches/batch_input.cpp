#include "serve/batches/batch_input.h"

#include <unordered_set>

#include "base/error.h"
#include "io/json.h"
#include "serve/fields.h"
#include "serve/files/line_reader.h"

namespace hearth::serve {
namespace {

using io::Json;

constexpr size_t kItemsTakenAtOnce = 500;
constexpr size_t kCustomIdBytesMax = 512;

[[noreturn]] void fault(const char* code, const char* param, const std::string& text) {
  throw_error(ErrorCode::kInvalidArgument, std::string(code) + ":" + param, "{}", text);
}

// Throws Error whose `where` is "code:param".
std::string check_line(const std::string& text, const std::string& endpoint) {
  Json line;
  try {
    line = io::parse_json(text, "");
  } catch (const Error& error) {
    fault("invalid_json_line", "", "this line is no JSON: " + error.text);
  }
  if (!line.is_object()) fault("invalid_json_line", "", "this line is no JSON object");
  const auto text_of = [&](const char* name) {
    const auto found = line.find(name);
    if (found == line.end() || !found->is_string() ||
        found->get_ref<const std::string&>().empty()) {
      fault("missing_required_parameter", name,
            fmt::format("'{}' is missing: expected a string", name));
    }
    return found->get<std::string>();
  };
  std::string custom_id = text_of("custom_id");
  if (custom_id.size() > kCustomIdBytesMax) {
    fault("invalid_value", "custom_id",
          fmt::format("'custom_id' is longer than {} bytes", kCustomIdBytesMax));
  }
  if (const std::string method = text_of("method"); method != "POST") {
    fault("invalid_method", "method", fmt::format("'method': expected POST, got '{}'", method));
  }
  if (const std::string url = text_of("url"); url != endpoint) {
    fault("invalid_url", "url",
          fmt::format("'url': expected the endpoint of the batch, {}, got '{}'", endpoint, url));
  }
  const auto body = line.find("body");
  if (body == line.end() || !body->is_object()) {
    fault("missing_required_parameter", "body", "'body' is missing: expected an object");
  }
  if (const auto stream = body->find("stream"); stream != body->end() && *stream == true) {
    fault("invalid_value", "body.stream", "'body.stream': a batch cannot stream");
  }
  return custom_id;
}

}  // namespace

std::vector<LineFault> read_batch_input(
    const std::string& path, const std::string& endpoint, const ServiceLimits& limits,
    const std::function<void(const std::vector<BatchItem>&)>& take, int64_t& total) {
  std::vector<LineFault> faults;
  std::vector<BatchItem> found;
  std::unordered_set<std::string> ids;
  total = 0;
  LineReader lines(path, limits.line_bytes_max);
  try {
    while (faults.size() < kFaultsMax && lines.next()) {
      if (lines.blank()) continue;
      if (++total > limits.batch_requests_max) {
        faults.push_back({"too_many_requests",
                          fmt::format("the file has more than batch_requests_max = {} requests",
                                      limits.batch_requests_max),
                          {},
                          lines.number()});
        break;
      }
      try {
        std::string custom_id = check_line(lines.text(), endpoint);
        if (!ids.insert(custom_id).second) {
          fault("duplicate_custom_id", "custom_id",
                fmt::format("'custom_id': '{}' stands in a line before", custom_id));
        }
        found.push_back({lines.number(), std::move(custom_id), lines.begin(),
                         static_cast<int64_t>(lines.text().size())});
      } catch (const Error& error) {
        const size_t colon = error.where.find(':');
        faults.push_back({error.where.substr(0, colon), error.text, error.where.substr(colon + 1),
                          lines.number()});
      }
      if (faults.empty() && found.size() == kItemsTakenAtOnce) {
        take(found);
        found.clear();
      }
    }
  } catch (const Error& error) {
    faults.push_back({"line_too_long", error.text, {}, lines.number()});
  }
  if (total == 0 && faults.empty()) {
    faults.push_back({"empty_file", "the file has no requests", {}, 0});
  }
  if (faults.empty()) take(found);
  return faults;
}

}  // namespace hearth::serve
