#include "transport/multipart.h"

#include <algorithm>

#include "base/error.h"
#include "transport/http.h"

namespace hearth::transport {
namespace {

constexpr size_t kBoundaryBytesMax = 70;
constexpr std::string_view kLineEnd = "\r\n";

[[noreturn]] void refuse(const std::string& text) {
  throw_error(ErrorCode::kInvalidArgument, "", "not a multipart/form-data body: {}", text);
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t";
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

// The text up to the closing quote, without escapes; `rest` goes on behind it.
std::string unquote(std::string_view& rest) {
  std::string out;
  size_t i = 1;
  for (; i < rest.size() && rest[i] != '"'; ++i) {
    // Browsers send a backslash as it is; only an escaped quote or backslash is one.
    if (rest[i] == '\\' && i + 1 < rest.size() && (rest[i + 1] == '"' || rest[i + 1] == '\\')) ++i;
    out += rest[i];
  }
  rest.remove_prefix(std::min(i + 1, rest.size()));
  return out;
}

// The parameter `; name=value` of a header.
std::optional<std::string> parameter(std::string_view header, std::string_view name) {
  std::string_view rest = header;
  rest.remove_prefix(std::min(rest.find(';'), rest.size()));
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const size_t equals = rest.find_first_of("=;");
    if (equals == std::string_view::npos) break;
    const std::string_view key = trimmed(rest.substr(0, equals));
    rest.remove_prefix(equals);
    if (rest[0] == ';') continue;
    rest = rest.substr(1);
    while (!rest.empty() && (rest[0] == ' ' || rest[0] == '\t')) rest.remove_prefix(1);
    std::string value;
    if (rest.starts_with('"')) {
      value = unquote(rest);
      rest.remove_prefix(std::min(rest.find(';'), rest.size()));
    } else {
      const size_t end = std::min(rest.find(';'), rest.size());
      value = trimmed(rest.substr(0, end));
      rest.remove_prefix(end);
    }
    if (equals_ignoring_case(key, name)) return value;
  }
  return std::nullopt;
}

MultipartPart parse_head(std::string_view head) {
  MultipartPart part;
  bool named = false;
  while (!head.empty()) {
    const size_t end = std::min(head.find(kLineEnd), head.size());
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(std::min(end + kLineEnd.size(), head.size()));
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) refuse("a line of a part's head has no ':'");
    const std::string_view field = trimmed(line.substr(0, colon));
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (equals_ignoring_case(field, "content-type")) part.content_type = value;
    if (!equals_ignoring_case(field, "content-disposition")) continue;
    if (!equals_ignoring_case(trimmed(value.substr(0, value.find(';'))), "form-data")) {
      refuse("the Content-Disposition of a part is not form-data");
    }
    const auto name = parameter(value, "name");
    named = name.has_value();
    part.name = name.value_or("");
    part.filename = parameter(value, "filename");
  }
  if (!named) refuse("a part has no name");
  return part;
}

}  // namespace

std::optional<std::string> multipart_boundary(std::string_view content_type) {
  const std::string_view type = trimmed(content_type.substr(0, content_type.find(';')));
  if (!equals_ignoring_case(type, "multipart/form-data")) return std::nullopt;
  auto boundary = parameter(content_type, "boundary");
  if (!boundary || boundary->empty() || boundary->size() > kBoundaryBytesMax ||
      boundary->find_first_of("\r\n") != std::string::npos) {
    return std::nullopt;
  }
  return boundary;
}

MultipartParser::MultipartParser(const std::string& boundary, const MultipartLimits& limits,
                                 MultipartSink& sink)
    : delimiter_("\r\n--" + boundary),
      limits_(limits),
      sink_(sink),
      // The first delimiter may stand at the very beginning, without a line end before it.
      pending_(kLineEnd) {}

void MultipartParser::feed(std::string_view bytes) {
  if (place_ == Place::kEpilogue) return;
  pending_ += bytes;
  bool more = true;
  while (more) {
    switch (place_) {
      case Place::kPreamble:
        more = skip_preamble();
        break;
      case Place::kAfterBoundary:
        more = read_after_boundary();
        break;
      case Place::kHead:
        more = read_head();
        break;
      case Place::kContent:
        more = read_content();
        break;
      case Place::kEpilogue:
        pending_.clear();
        return;
    }
  }
}

void MultipartParser::finish() const {
  if (place_ != Place::kEpilogue) refuse("it ends before its closing boundary");
}

bool MultipartParser::skip_preamble() {
  const size_t found = pending_.find(delimiter_);
  if (found == std::string::npos) {
    // As much as could be the beginning of the delimiter stays.
    if (pending_.size() >= delimiter_.size()) {
      pending_.erase(0, pending_.size() - delimiter_.size() + 1);
    }
    return false;
  }
  pending_.erase(0, found + delimiter_.size());
  place_ = Place::kAfterBoundary;
  return true;
}

// Blanks and a line end before another part, or "--" at the end of all.
bool MultipartParser::read_after_boundary() {
  if (pending_.size() < 2) return false;
  if (pending_.starts_with("--")) {
    place_ = Place::kEpilogue;
    return true;
  }
  const size_t end = pending_.find(kLineEnd);
  const std::string_view between = std::string_view(pending_).substr(0, end);
  if (between.size() > limits_.head_bytes_max ||
      between.find_first_not_of(" \t\r") != std::string_view::npos) {
    refuse("something stands behind a boundary");
  }
  if (end == std::string::npos) return false;
  pending_.erase(0, end);  // the line end stays: a head may be empty
  place_ = Place::kHead;
  return true;
}

bool MultipartParser::read_head() {
  const size_t end = pending_.find("\r\n\r\n");
  const size_t bytes = end == std::string::npos ? pending_.size() : end;
  if (bytes > limits_.head_bytes_max) {
    refuse(fmt::format("the head of a part is larger than head_bytes_max = {} bytes",
                       limits_.head_bytes_max));
  }
  if (end == std::string::npos) return false;
  if (++parts_ > limits_.parts_max) {
    refuse(fmt::format("it has more than parts_max = {} parts", limits_.parts_max));
  }
  const std::string_view head(pending_);
  const MultipartPart part =
      parse_head(end == 0 ? std::string_view() : head.substr(kLineEnd.size(), end - 2));
  pending_.erase(0, end + 2 * kLineEnd.size());
  sink_.on_part(part);
  place_ = Place::kContent;
  return true;
}

bool MultipartParser::read_content() {
  const size_t found = pending_.find(delimiter_);
  // As much as could be the beginning of the delimiter stays.
  const size_t kept = std::min(pending_.size(), delimiter_.size() - 1);
  const size_t whole = found == std::string::npos ? pending_.size() - kept : found;
  if (whole > 0) sink_.on_bytes(std::string_view(pending_).substr(0, whole));
  pending_.erase(0, whole);
  if (found == std::string::npos) return false;
  pending_.erase(0, delimiter_.size());
  sink_.on_part_end();
  place_ = Place::kAfterBoundary;
  return true;
}

}  // namespace hearth::transport
