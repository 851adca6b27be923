// Any reply in any syntax, cut anywhere: no crash, and the same parts as when it comes whole.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "dialog/reply_parser.h"

namespace {

using hearth::dialog::Part;

std::string told(const std::vector<Part>& parts) {
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool goes_on =
        i > 0 && parts[i].kind == parts[i - 1].kind && parts[i].kind != Part::Kind::kToolCall;
    if (!goes_on) out += '\0' + std::to_string(static_cast<int>(parts[i].kind)) + parts[i].name;
    out += parts[i].text;
  }
  return out;
}

std::string parse(const hearth::dialog::ReplyFormat& format, std::string_view reply,
                  size_t piece_bytes) {
  hearth::dialog::ReplyParser parser(
      format, {{"f", {{"a", {"integer", "null"}}, {"b", {"object"}}}}, {"g", {}}}, "");
  std::vector<Part> all;
  for (size_t at = 0; at < reply.size(); at += piece_bytes) {
    for (Part& part : parser.feed(reply.substr(at, piece_bytes))) all.push_back(std::move(part));
  }
  for (Part& part : parser.finish()) all.push_back(std::move(part));
  return told(all);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 8192) return 0;
  hearth::dialog::ReplyFormat format;
  format.tools = static_cast<hearth::dialog::ToolSyntax>(data[0] % 8);
  if (data[0] & 0x80) {
    format.think_start = "<think>";
    format.think_end = "</think>";
  }
  const std::string_view reply(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::string whole = parse(format, reply, reply.size() + 1);
  CHECK(parse(format, reply, 1 + data[1] % 16) == whole);
  return 0;
}
