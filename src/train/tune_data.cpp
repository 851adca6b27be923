#include "train/tune_data.h"

#include <algorithm>
#include <fstream>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "io/json.h"

namespace hearth::train {
namespace {

using io::Json;

const Json* field(const Json& line, const char* name) {
  const auto it = line.find(name);
  return it == line.end() || it->is_null() ? nullptr : &*it;
}

const Json& messages_of(const Json& value, const char* name, const std::string& where) {
  if (!value.is_array() || value.empty()) {
    throw_error(ErrorCode::kInvalidArgument, where, "'{}' must be a list of messages", name);
  }
  for (const Json& message : value) io::json_require<std::string>(message, "role", where);
  return value;
}

// One line as examples of a method.
class LineReader {
 public:
  LineReader(const ConversationEncoder& encoder, const Json& line, const std::string& where)
      : encoder_(encoder), line_(line), where_(where) {}

  std::vector<TuneExample> supervised() const {
    std::vector<TuneExample> examples;
    if (const Json* messages = field(line_, "messages")) {
      const Json* tools = field(line_, "tools");
      for (MarkedTokens& text :
           encoder_.encode(messages_of(*messages, "messages", where_), 0, tools)) {
        examples.push_back({std::move(text), {}});
      }
    } else if (field(line_, "completion") != nullptr) {
      examples.push_back({encoder_.encode_text(text("prompt"), text("completion")), {}});
    } else if (field(line_, "text") != nullptr) {
      examples.push_back({encoder_.encode_text("", text("text")), {}});
    } else {
      throw_error(ErrorCode::kInvalidArgument, where_,
                  "expected \"messages\", \"prompt\" and \"completion\", or \"text\"");
    }
    return examples;
  }

  std::vector<TuneExample> preference() const {
    if (const Json* input = field(line_, "input")) {
      const auto messages = io::json_require<Json>(*input, "messages", where_);
      return pair(messages_of(messages, "input.messages", where_),
                  io::json_require<Json>(line_, "preferred_output", where_),
                  io::json_require<Json>(line_, "non_preferred_output", where_));
    }
    if (field(line_, "chosen") == nullptr || field(line_, "rejected") == nullptr) {
      throw_error(ErrorCode::kInvalidArgument, where_,
                  "expected \"input\", \"preferred_output\" and \"non_preferred_output\", or "
                  "\"prompt\", \"chosen\" and \"rejected\"");
    }
    const Json* prompt = field(line_, "prompt");
    if (line_["chosen"].is_string()) {
      return {{encoder_.encode_text(text("prompt"), text("chosen")),
               encoder_.encode_text(text("prompt"), text("rejected"))}};
    }
    if (prompt != nullptr && prompt->is_string()) {
      return pair(Json::array({{{"role", "user"}, {"content", *prompt}}}), line_["chosen"],
                  line_["rejected"]);
    }
    return pair(prompt == nullptr ? Json::array() : *prompt, line_["chosen"], line_["rejected"]);
  }

 private:
  std::string text(const char* name) const {
    return io::json_get<std::string>(line_, name, "", where_);
  }

  MarkedTokens reply(const Json& prompt, const Json& reply, const char* name) const {
    Json whole = prompt;
    for (const Json& message : messages_of(reply, name, where_)) whole.push_back(message);
    // Without a prompt the last turn is the reply.
    const size_t first = prompt.empty() ? whole.size() - 1 : prompt.size();
    std::vector<MarkedTokens> texts = encoder_.encode(whole, first);
    if (texts.empty()) {
      throw_error(ErrorCode::kInvalidArgument, where_, "'{}' has no message of the assistant",
                  name);
    }
    return std::move(texts.back());
  }

  std::vector<TuneExample> pair(const Json& prompt, const Json& chosen,
                                const Json& rejected) const {
    return {
        {reply(prompt, chosen, "the preferred reply"), reply(prompt, rejected, "the other reply")}};
  }

  const ConversationEncoder& encoder_;
  const Json& line_;
  const std::string& where_;
};

bool cut(MarkedTokens& text, size_t tokens_max) {
  if (text.tokens.size() <= tokens_max) return false;
  text.tokens.resize(tokens_max);
  text.learn.resize(tokens_max);
  return true;
}

// The first token has nothing before it that could predict it.
bool teaches(MarkedTokens& text) {
  if (!text.learn.empty()) text.learn.front() = 0;
  return text.tokens.size() >= 2 && text.learned() > 0;
}

void take(TuneExample example, TuneMethod method, int64_t context, TuneData& data) {
  const auto tokens_max = static_cast<size_t>(context) + 1;
  const bool pair = method == TuneMethod::kPreference;
  const bool first_cut = cut(example.text, tokens_max);
  const bool other_cut = pair && cut(example.other, tokens_max);
  data.cut += first_cut || other_cut ? 1 : 0;
  if (!teaches(example.text) || (pair && !teaches(example.other))) {
    ++data.dropped;
    return;
  }
  data.examples.push_back(std::move(example));
}

// What a template says of a conversation that it cannot write is said of the line.
std::vector<TuneExample> read_line(const LineReader& reader, TuneMethod method,
                                   const std::string& where) {
  try {
    return method == TuneMethod::kSupervised ? reader.supervised() : reader.preference();
  } catch (const Error& error) {
    if (error.where == where) throw;
    throw_error(error.code, where, "{}", error.what());
  }
}

void read_file(const std::string& path, TuneMethod method, const ConversationEncoder& encoder,
               int64_t context, TuneData& data) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw_error(ErrorCode::kNotFound, path, "could not open the file");
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = fmt::format("{}:{}", path, number);
    const Json json = io::parse_json(line, where);
    ++data.lines;
    for (TuneExample& example : read_line(LineReader(encoder, json, where), method, where)) {
      take(std::move(example), method, context, data);
    }
  }
}

}  // namespace

int64_t TuneData::learned() const {
  int64_t sum = 0;
  for (const TuneExample& example : examples) {
    sum += example.text.learned() + example.other.learned();
  }
  return sum;
}

uint64_t TuneData::fingerprint(uint64_t seed) const {
  uint64_t hash = split_mix(seed);
  const auto add = [&](const MarkedTokens& text) {
    for (size_t i = 0; i < text.tokens.size(); ++i) {
      hash = split_mix(hash ^ static_cast<uint64_t>(text.tokens[i]) << 1 ^ text.learn[i]);
    }
    hash = split_mix(hash + text.tokens.size());
  };
  for (const TuneExample& example : examples) {
    add(example.text);
    add(example.other);
  }
  return hash;
}

TuneData read_tune_data(const std::vector<std::string>& paths, TuneMethod method,
                        const ConversationEncoder& encoder, int64_t context) {
  TuneData data;
  for (const std::string& path : paths) read_file(path, method, encoder, context, data);
  return data;
}

TuneData split_off(TuneData& data, double share, uint64_t seed) {
  Random random(seed);
  random.shuffle(std::span(data.examples));
  const auto count = static_cast<size_t>(static_cast<double>(data.examples.size()) * share + 0.5);
  TuneData part;
  while (part.examples.size() < count) {
    part.examples.push_back(std::move(data.examples.back()));
    data.examples.pop_back();
  }
  return part;
}

TuneOrder::TuneOrder(int64_t examples, uint64_t seed)
    : seed_(seed), order_(static_cast<size_t>(examples)) {
  shuffle();
}

void TuneOrder::shuffle() {
  std::iota(order_.begin(), order_.end(), 0);
  Random random(split_mix(seed_ + static_cast<uint64_t>(position_.epoch)));
  random.shuffle(std::span(order_));
}

void TuneOrder::seek(const DataPosition& position) {
  CHECK(position.next >= 0 && position.next <= std::ssize(order_), "position {} of {}",
        position.next, order_.size());
  position_ = position;
  shuffle();
}

std::vector<int64_t> TuneOrder::take(int64_t count) {
  if (position_.next == std::ssize(order_)) {
    ++position_.epoch;
    position_.next = 0;
    shuffle();
  }
  const int64_t end = std::min(position_.next + count, std::ssize(order_));
  const std::vector<int64_t> taken(order_.begin() + position_.next, order_.begin() + end);
  position_.next = end;
  return taken;
}

}  // namespace hearth::train
