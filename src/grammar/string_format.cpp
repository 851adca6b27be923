#include "grammar/string_format.h"

#include <algorithm>
#include <fmt/format.h>

namespace hearth::grammar {
namespace {

// Days that exist, leap years included.
std::string date() {
  const char* leap = "(\\d\\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)";
  return fmt::format(
      "(\\d{{4}}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|"
      "02-(0[1-9]|1\\d|2[0-8]))|{}-02-29)",
      leap);
}

std::string time() {
  return "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,9})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)";
}

std::string ipv4() {
  const char* byte = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
  return fmt::format("({}\\.){{3}}{}", byte, byte);
}

std::string ipv6() {
  const std::string h = "[0-9a-fA-F]{1,4}";
  std::string pattern = fmt::format("({}:){{7}}{}", h, h);
  // "::" stands for at least one group.
  for (int before = 0; before <= 7; ++before) {
    const std::string head = before == 0   ? ""
                             : before == 1 ? h
                                           : fmt::format("({}:){{{}}}{}", h, before - 1, h);
    const int after_max = 7 - before;
    const std::string tail =
        after_max == 0 ? "" : fmt::format("({}(:{}){{0,{}}})?", h, h, after_max - 1);
    pattern += "|" + head + "::" + tail;
  }
  return "(" + pattern + ")";
}

std::string hostname(int dots_min = 0) {
  const char* label = "[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?";
  return fmt::format("{}(\\.{}){{{},3}}", label, label, dots_min);
}

std::string duration() {
  const char* day_time = "T(\\d{1,9}H(\\d{1,9}M(\\d{1,9}S)?)?|\\d{1,9}M(\\d{1,9}S)?|\\d{1,9}S)";
  return fmt::format(
      "P(\\d{{1,9}}W|{0}|(\\d{{1,9}}Y(\\d{{1,9}}M(\\d{{1,9}}D)?)?|\\d{{1,9}}M(\\d{{1,9}}D)?|"
      "\\d{{1,9}}D)({0})?)",
      day_time);
}

}  // namespace

std::optional<std::string> format_pattern(std::string_view format) {
  if (format == "date") return date();
  if (format == "time") return time();
  if (format == "date-time") return date() + "T" + time();
  if (format == "duration") return duration();
  if (format == "uuid") return "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";
  if (format == "ipv4") return ipv4();
  if (format == "ipv6") return ipv6();
  if (format == "hostname") return hostname();
  if (format == "email") {
    const char* atom = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,20}";
    return fmt::format("{}(\\.{}){{0,2}}@{}", atom, atom, hostname(1));
  }
  if (format == "uri") {
    return "(https?|ftp)://" + hostname() +
           "(:[1-9]\\d{0,3})?(/[a-zA-Z0-9._~-]{0,64}){0,16}(\\?[a-zA-Z0-9._~=&-]{1,128})?"
           "(#[a-zA-Z0-9._~-]{1,64})?";
  }
  return std::nullopt;
}

bool is_unsupported_format(std::string_view format) {
  constexpr std::string_view kFormats[] = {
      "idn-email",    "idn-hostname",          "iri",   "iri-reference", "uri-reference",
      "uri-template", "relative-json-pointer", "regex", "json-pointer"};
  return std::find(std::begin(kFormats), std::end(kFormats), format) != std::end(kFormats);
}

}  // namespace hearth::grammar
