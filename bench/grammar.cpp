// What does structured output cost a step?
//
//   ./dev bench grammar
//
// For several grammars: the time to compile, the first fill of each situation (cold), the fills of
// a second text of the same grammar (second), and the fills once every situation is known (warm).
// The texts are cut into tokens by longest match, as a model that follows the grammar would write
// them. The vocabulary is Llama 3's 128k tokens from $HEARTH_SHARED/data/tokenizers/llama3, or a
// synthetic one of that size without it. One JSON line a grammar on stdout.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fmt/format.h>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "flags.h"
#include "grammar/matcher.h"
#include "io/file.h"
#include "io/json.h"

namespace hearth::grammar {
namespace {

constexpr int kWarmRounds = 20;

struct Case {
  const char* name;
  GrammarSource source;
  std::vector<std::string> texts;  // the first is cold, the second follows
};

// GPT-2's printable stand-ins for bytes, back to bytes.
std::unordered_map<std::string, char> byte_stand_ins() {
  std::unordered_map<std::string, char> bytes;
  int next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const int code = printable ? byte : next++;
    std::string utf8;
    if (code < 0x80) {
      utf8 = static_cast<char>(code);
    } else {
      utf8 = {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
    }
    bytes[utf8] = static_cast<char>(byte);
  }
  return bytes;
}

std::string run_program(const std::string& command) {
  std::string out;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) throw_error(ErrorCode::kIo, command, "cannot be started");
  char block[1 << 16];
  for (size_t got = 0; (got = std::fread(block, 1, sizeof(block), pipe)) > 0;)
    out.append(block, got);
  pclose(pipe);
  return out;
}

std::vector<std::string> llama3_tokens(const std::string& path) {
  const io::Json file = io::parse_json(run_program("gzip -dc '" + path + "'"), path);
  const auto bytes = byte_stand_ins();
  std::vector<std::string> tokens;
  for (const auto& [text, id] : file["model"]["vocab"].items()) {
    const auto index = id.get<size_t>();
    if (tokens.size() <= index) tokens.resize(index + 1);
    for (size_t at = 0; at < text.size();) {
      const size_t length = static_cast<unsigned char>(text[at]) < 0x80 ? 1 : 2;
      tokens[index] += bytes.at(text.substr(at, length));
      at += length;
    }
  }
  return tokens;
}

// Words of English-like letter frequencies with and without a leading space, and runs of marks.
std::vector<std::string> synthetic_tokens() {
  Random random(1);
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  const std::string letters = "eeeeetttaaaooiiinnnsshhrrddlluucmfywgpbvk";
  const std::string marks = "\"{}[]:,.-_/\\ \n";
  while (tokens.size() < 128'000) {
    std::string token = random.chance(0.4) ? " " : "";
    const std::string& from = random.chance(0.05) ? marks : letters;
    for (uint64_t n = 1 + random.below(8); n > 0; --n) token += from[random.below(from.size())];
    tokens.push_back(token);
  }
  return tokens;
}

std::vector<int32_t> longest_match(const std::string& text,
                                   const std::unordered_map<std::string, int32_t>& ids) {
  std::vector<int32_t> tokens;
  for (size_t at = 0; at < text.size();) {
    size_t length = std::min<size_t>(24, text.size() - at);
    while (length > 1 && !ids.contains(text.substr(at, length))) --length;
    tokens.push_back(ids.at(text.substr(at, length)));
    at += length;
  }
  return tokens;
}

std::vector<Case> cases() {
  const auto schema = [](const char* text) {
    return GrammarSource{.kind = GrammarKind::kJsonSchema, .text = text};
  };
  return {
      {"person",
       schema(R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer",
         "minimum":0,"maximum":150},"email":{"type":"string","format":"email"},"tags":{"type":"array",
         "items":{"type":"string"}}},"required":["name","age"],"additionalProperties":false})"),
       {R"({"name": "Ada Lovelace", "age": 36, "email": "ada@engine.org", "tags": ["maths", "first"]})",
        R"({"name": "Grace Brewster Hopper", "age": 85, "tags": ["navy", "compilers", "bug"]})"}},
      {"tool_call",
       schema(R"({"$defs":{"filter":{"type":"object","properties":{"field":{"enum":["price","city",
         "rating"]},"op":{"enum":["<","=",">"]},"value":{"type":["string","number"]}},
         "required":["field","op","value"],"additionalProperties":false}},"anyOf":[{"type":"object",
         "properties":{"tool":{"const":"search"},"query":{"type":"string","maxLength":200},"limit":
         {"type":"integer","minimum":1,"maximum":100},"filters":{"type":"array","items":{"$ref":
         "#/$defs/filter"},"maxItems":8}},"required":["tool","query"],"additionalProperties":false},
         {"type":"object","properties":{"tool":{"const":"book"},"date":{"type":"string","format":
         "date"},"id":{"type":"string","format":"uuid"}},"required":["tool","date","id"],
         "additionalProperties":false}]})"),
       {R"({"tool": "search", "query": "quiet hotels near the old harbour", "limit": 10, "filters": [{"field": "price", "op": "<", "value": 120.5}, {"field": "city", "op": "=", "value": "Lisbon"}]})",
        R"({"tool": "book", "date": "2024-06-07", "id": "123e4567-e89b-12d3-a456-426614174000"})"}},
      {"tree",
       schema(
           R"({"type":"object","properties":{"value":{"type":"number"},"children":{"type":"array",
         "items":{"$ref":"#"}}},"required":["value","children"],"additionalProperties":false})"),
       {R"({"value": 1, "children": [{"value": 2, "children": []}, {"value": 3.5, "children": [{"value": 4, "children": []}]}]})",
        R"({"value": 9, "children": [{"value": 8, "children": [{"value": 7, "children": [{"value": 6, "children": []}]}]}]})"}},
      {"json_object",
       {.kind = GrammarKind::kJsonObject},
       {R"({"title": "A plain report", "rows": [[1, 2.5, null], [true, false, "x"]], "meta": {"by": "me", "n": -3}})",
        R"({"list": [{"a": {"b": {"c": [[["deep"]]]}}}, "and \"quoted\" text", 1e10]})"}},
      {"regex_log",
       {.kind = GrammarKind::kRegex,
        .text = R"(\d{4}-\d{2}-\d{2} (INFO|WARN|ERROR) [a-z_.]{1,40}: .{1,200})"},
       {"2024-06-07 WARN engine.scheduler: the queue is longer than it was a minute ago",
        "2024-06-08 INFO serve.http: 200 in 12 ms for /v1/chat/completions"}},
  };
}

// Processor time of this thread: leaves out the time slices of other programs on the machine.
class ThreadClock final : public Clock {
 public:
  Nanos now() const override {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * kSecond + time.tv_nsec;
  }
  Nanos wall() const override { return now(); }
};

struct Times {
  std::vector<double> us;

  double at(double quantile) {
    std::sort(us.begin(), us.end());
    return us.empty() ? 0 : us[static_cast<size_t>(quantile * static_cast<double>(us.size() - 1))];
  }
};

// Fills before each token; returns the microseconds each took.
void walk(const std::shared_ptr<const Grammar>& grammar, const std::vector<int32_t>& tokens,
          const Clock& clock, Times& fills, Times& accepts) {
  Matcher matcher(grammar);
  std::vector<uint32_t> words(grammar->vocabulary().mask_words());
  for (const int32_t token : tokens) {
    const Nanos start = clock.now();
    matcher.fill(words);
    const Nanos filled = clock.now();
    const bool allowed = words[token >> 5] >> (token & 31) & 1;
    if (!allowed || !matcher.accept(token)) {
      throw_error(ErrorCode::kInternal, "bench", "token {} of the text is not allowed", token);
    }
    fills.us.push_back(static_cast<double>(filled - start) / kMicrosecond);
    accepts.us.push_back(static_cast<double>(clock.now() - filled) / kMicrosecond);
  }
}

void measure(const Case& bench, const std::shared_ptr<const Vocabulary>& vocabulary,
             const std::unordered_map<std::string, int32_t>& ids, const Clock& clock) {
  const Nanos start = clock.now();
  const auto grammar = compile_grammar(bench.source, vocabulary);
  const double compile_ms = static_cast<double>(clock.now() - start) / kMillisecond;
  Times cold, second, warm, accepts;
  walk(grammar, longest_match(bench.texts[0], ids), clock, cold, accepts);
  walk(grammar, longest_match(bench.texts[1], ids), clock, second, accepts);
  accepts.us.clear();
  for (int round = 0; round < kWarmRounds; ++round) {
    for (const std::string& text : bench.texts) {
      walk(grammar, longest_match(text, ids), clock, warm, accepts);
    }
  }
  fmt::print(
      "{{\"bench\":\"grammar\",\"name\":\"{}\",\"compile_ms\":{:.2f},\"states\":{},"
      "\"cold_fill_us_p50\":{:.1f},\"cold_fill_us_max\":{:.1f},"
      "\"second_fill_us_p50\":{:.1f},\"second_fill_us_max\":{:.1f},"
      "\"warm_fill_us_p50\":{:.2f},\"warm_fill_us_p99\":{:.2f},"
      "\"accept_us_p50\":{:.2f},\"accept_us_p99\":{:.2f}}}\n",
      bench.name, compile_ms, grammar->automaton().states.size(), cold.at(0.5), cold.at(1),
      second.at(0.5), second.at(1), warm.at(0.5), warm.at(0.99), accepts.at(0.5), accepts.at(0.99));
}

void run() {
  const ThreadClock clock;
  std::vector<std::string> tokens;
  const char* shared = std::getenv("HEARTH_SHARED");
  const std::string path =
      std::string(shared == nullptr ? "" : shared) + "/data/tokenizers/llama3/tokenizer.json.gz";
  const bool real = shared != nullptr && io::file_exists(path);
  tokens = real ? llama3_tokens(path) : synthetic_tokens();
  std::unordered_map<std::string, int32_t> ids;
  for (size_t id = 0; id < tokens.size(); ++id) ids.emplace(tokens[id], static_cast<int32_t>(id));
  tokens.emplace_back();
  const auto end = static_cast<int32_t>(tokens.size()) - 1;

  const Nanos start = clock.now();
  const auto vocabulary =
      std::make_shared<const Vocabulary>(std::move(tokens), std::vector<int32_t>{end});
  fmt::print(
      "{{\"bench\":\"grammar\",\"name\":\"vocabulary\",\"source\":\"{}\",\"tokens\":{},"
      "\"trie_nodes\":{},\"longest_token\":{},\"build_ms\":{:.1f}}}\n",
      real ? "llama3" : "synthetic", vocabulary->size(), vocabulary->nodes().size(),
      vocabulary->bytes_max(), static_cast<double>(clock.now() - start) / kMillisecond);
  for (const Case& bench : cases()) measure(bench, vocabulary, ids, clock);
}

}  // namespace
}  // namespace hearth::grammar

int main() { return hearth::bench::run_or_say_why(hearth::grammar::run); }
