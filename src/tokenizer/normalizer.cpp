#include "tokenizer/normalizer.h"

#include <utility>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/charsmap.h"

namespace hearth::tokenizer {
namespace {

template <typename Map>  // Map: void(std::string& out, char32_t c, std::string_view bytes)
std::string map_chars(std::string_view text, Map&& map) {
  std::string out;
  out.reserve(text.size());
  for_each_char(text, [&](char32_t c, std::string_view bytes) { map(out, c, bytes); });
  return out;
}

std::string lowercase(std::string_view text) {
  return map_chars(
      text, [](std::string& out, char32_t c, std::string_view) { append_lowercase(out, c); });
}

void strip(NormalizedText& text, const norm::Strip& spec) {
  std::string_view rest = text.text;
  while (spec.right && !rest.empty()) {
    const size_t start = last_char_start(rest);
    if (!is_white_space(decode_char(rest.substr(start)).value)) break;
    rest = rest.substr(0, start);
  }
  while (spec.left && !rest.empty()) {
    const Char first = decode_char(rest);
    if (!is_white_space(first.value)) break;
    rest.remove_prefix(first.bytes);
    text.at_start = false;
  }
  text.text = std::string(rest);
}

// The blocks of ideographs that BERT puts spaces around; the gap at U+2B820 is BERT's.
bool is_chinese(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

std::string bert(std::string text, const norm::Bert& spec) {
  if (spec.clean_text) {
    text = map_chars(text, [](std::string& out, char32_t c, std::string_view bytes) {
      if (c == '\t' || c == '\n' || c == '\r') {
        out += ' ';
      } else if (c != 0 && c != kReplacementChar && !is_other(c)) {
        out += is_white_space(c) ? " " : bytes;
      }
    });
  }
  if (spec.handle_chinese_chars) {
    text = map_chars(text, [](std::string& out, char32_t c, std::string_view bytes) {
      if (is_chinese(c)) {
        out.append(" ").append(bytes).append(" ");
      } else {
        out += bytes;
      }
    });
  }
  if (spec.strip_accents) {
    text = map_chars(normalize(text, NormalForm::kNfd),
                     [](std::string& out, char32_t c, std::string_view bytes) {
                       if (!is_nonspacing_mark(c)) out += bytes;
                     });
  }
  return spec.lowercase ? lowercase(text) : text;
}

std::string nmt(std::string_view text) {
  return map_chars(text, [](std::string& out, char32_t c, std::string_view bytes) {
    const bool removed = (c >= 0x1 && c <= 0x8) || c == 0xB || (c >= 0xE && c <= 0x1F) ||
                         c == 0x7F || c == 0x8F || c == 0x9F;
    const bool space = c == 0x9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
                       (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                       c == 0xFEFF || c == kReplacementChar;
    if (space) {
      out += ' ';
    } else if (!removed) {
      out += bytes;
    }
  });
}

}  // namespace

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size());
  size_t at = 0;
  while (!from.empty()) {
    const size_t found = text.find(from, at);
    if (found == std::string_view::npos) break;
    out.append(text.substr(at, found - at)).append(to);
    at = found + from.size();
  }
  return out += text.substr(at);
}

std::string replace_all(std::string_view text, const Regex& from, std::string_view to,
                        RegexScratch& scratch) {
  std::string out;
  size_t at = 0;
  for_each_match(from, text, scratch, [&](Match match) {
    out.append(text.substr(at, match.begin - at)).append(to);
    at = match.end;
  });
  return out += text.substr(at);
}

Normalizer::Normalizer(const std::vector<NormalizerSpec>& specs, const std::string& where) {
  for (const NormalizerSpec& spec : specs) {
    if (const auto* replace = std::get_if<norm::Replace>(&spec)) {
      Replace step{.literal = replace->pattern.text, .regex = {}, .content = replace->content};
      if (replace->pattern.kind == Pattern::Kind::kRegex) {
        step.regex.emplace(replace->pattern.text, where);
      }
      steps_.emplace_back(std::move(step));
    } else if (const auto* precompiled = std::get_if<norm::Precompiled>(&spec)) {
      steps_.emplace_back(std::make_unique<Charsmap>(precompiled->charsmap, where));
    } else {
      std::visit(
          [&]<typename Spec>(const Spec& plain) {
            if constexpr (std::is_constructible_v<Step, Spec>) steps_.emplace_back(plain);
          },
          spec);
    }
  }
}

Normalizer::~Normalizer() = default;
Normalizer::Normalizer(Normalizer&&) noexcept = default;

void Normalizer::apply(NormalizedText& text, RegexScratch& scratch) const {
  struct Visitor {
    NormalizedText& now;
    RegexScratch& scratch;

    void operator()(const norm::Unicode& step) const { now.text = normalize(now.text, step.form); }
    void operator()(const norm::Lowercase&) const { now.text = lowercase(now.text); }
    void operator()(const norm::Strip& step) const { strip(now, step); }
    void operator()(const norm::StripAccents&) const {
      now.text = map_chars(now.text, [](std::string& out, char32_t c, std::string_view bytes) {
        if (!is_mark(c)) out += bytes;
      });
    }
    void operator()(const Replace& step) const {
      now.text = step.regex ? replace_all(now.text, *step.regex, step.content, scratch)
                            : replace_all(now.text, step.literal, step.content);
    }
    void operator()(const norm::Prepend& step) const {
      if (!now.text.empty()) now.text.insert(0, step.prepend);
    }
    void operator()(const std::unique_ptr<Charsmap>& step) const {
      now.text = step->apply(now.text);
    }
    void operator()(const norm::Bert& step) const { now.text = bert(std::move(now.text), step); }
    void operator()(const norm::Nmt&) const { now.text = nmt(now.text); }
    void operator()(const norm::ByteLevel&) const {
      std::string out;
      append_byte_chars(out, now.text);
      now.text = std::move(out);
    }
  };
  for (const Step& step : steps_) std::visit(Visitor{text, scratch}, step);
}

}  // namespace hearth::tokenizer
