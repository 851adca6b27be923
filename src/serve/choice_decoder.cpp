#include "serve/choice_decoder.h"

#include <algorithm>
#include <utility>

namespace hearth::serve {

int32_t count_characters(std::string_view text) {
  return static_cast<int32_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

TokenText describe(const engine::SampledToken& token, const TextCodec& codec) {
  TokenText out;
  out.id = token.token;
  out.bytes = codec.token_bytes(token.token);
  out.logprob = token.logprob;
  out.rank = token.rank;
  for (const engine::TokenLogprob& other : token.top) {
    out.top.push_back({other.token, codec.token_bytes(other.token), other.logprob});
  }
  return out;
}

ChoiceDecoder::ChoiceDecoder(const TextCodec& codec, std::unique_ptr<TextStream> stream,
                             Setup setup)
    : codec_(codec), stream_(std::move(stream)), setup_(std::move(setup)), stops_(setup_.stops) {}

Decoded ChoiceDecoder::feed(const engine::SampledToken& token) {
  if (stops_.matched()) return {};
  ++tokens_;
  std::string text = stream_->feed(token.token);
  if (setup_.logprobs == Logprobs::kYes) {
    held_.push_back({describe(token, codec_), decoded_, decoded_ + text.size()});
    held_.back().token.text_offset = characters_;
  }
  decoded_ += text.size();
  characters_ += count_characters(text);
  if (tokens_ > setup_.min_tokens) text = stops_.feed(text);
  return release(std::move(text), stops_.matched().has_value());
}

Decoded ChoiceDecoder::finish() {
  if (stops_.matched()) return {};
  std::string rest = stream_->finish();
  decoded_ += rest.size();
  if (!held_.empty()) held_.back().end = decoded_;
  rest = stops_.feed(rest);
  if (!stops_.matched()) rest += stops_.finish();
  return release(std::move(rest), true);
}

// A token is told with the text that completes it; one that a stop string cut in half is told too.
Decoded ChoiceDecoder::release(std::string text, bool ended) {
  Decoded out;
  told_ += text.size();
  out.text = std::move(text);
  while (!held_.empty()) {
    const Held& next = held_.front();
    const bool cut = ended && next.begin < told_;
    if (next.end > told_ && !cut) break;
    out.tokens.push_back(std::move(held_.front().token));
    held_.pop_front();
  }
  if (ended) held_.clear();
  return out;
}

}  // namespace hearth::serve
