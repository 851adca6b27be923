#include "tokenizer/pre_tokenizer.h"

#include <utility>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/normalizer.h"

namespace hearth::tokenizer {
namespace {

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Cuts one text as a SplitBehavior says. Spans come in order and cover the text; finish() ends it.
class Cutter {
 public:
  Cutter(Piece piece, SplitBehavior behavior, std::vector<Piece>& out)
      : piece_(piece), behavior_(behavior), out_(out) {}

  void span(size_t begin, size_t end, bool matched) {
    if (begins_piece(matched)) {
      emit(begin);
      drop_ = behavior_ == SplitBehavior::kRemoved && matched;
    }
    previous_matched_ = matched;
    any_ = true;
    end_ = end;
  }

  void finish() { emit(end_); }

 private:
  bool begins_piece(bool matched) const {
    if (!any_) return true;
    switch (behavior_) {
      case SplitBehavior::kRemoved:
      case SplitBehavior::kIsolated:
        return true;
      case SplitBehavior::kContiguous:
        return matched != previous_matched_;
      case SplitBehavior::kMergedWithPrevious:  // a match joins what is before, unless that matched
        return !(matched && !previous_matched_);
      case SplitBehavior::kMergedWithNext:  // what follows a match joins it, unless it matched too
        return !(previous_matched_ && !matched);
    }
    return true;
  }

  void emit(size_t end) {
    if (!drop_ && end > begin_) {
      out_.push_back({piece_.text.substr(begin_, end - begin_), piece_.at_start && begin_ == 0});
    }
    begin_ = end;
  }

  Piece piece_;
  SplitBehavior behavior_;
  std::vector<Piece>& out_;
  size_t begin_ = 0;
  size_t end_ = 0;
  bool any_ = false;
  bool previous_matched_ = false;
  bool drop_ = false;
};

// One span per character that is in the set, one per run of others.
template <typename IsMatch>
void cut_chars(Piece piece, SplitBehavior behavior, std::vector<Piece>& out, IsMatch&& is_match) {
  Cutter cutter(piece, behavior, out);
  size_t others = 0;
  size_t at = 0;
  for_each_char(piece.text, [&](char32_t c, std::string_view bytes) {
    if (is_match(c)) {
      if (others < at) cutter.span(others, at, false);
      cutter.span(at, at + bytes.size(), true);
      others = at + bytes.size();
    }
    at += bytes.size();
  });
  if (others < at) cutter.span(others, at, false);
  cutter.finish();
}

// Feeds matches to a Cutter, with the stretches between them.
class MatchFeeder {
 public:
  MatchFeeder(Cutter& cutter, bool invert) : cutter_(cutter), invert_(invert) {}
  void match(Match match) {
    if (match.begin != at_) cutter_.span(at_, match.begin, invert_);
    cutter_.span(match.begin, match.end, !invert_);
    at_ = match.end;
  }
  void finish(size_t end) {
    if (at_ != end) cutter_.span(at_, end, invert_);
    cutter_.finish();
  }

 private:
  Cutter& cutter_;
  bool invert_;
  size_t at_ = 0;
};

// Maximal runs of one kind of character; white space is dropped.
void cut_words(Piece piece, std::vector<Piece>& out) {
  enum class Kind { kSpace, kWord, kOther };
  const auto kind_of = [](char32_t c) {
    return is_white_space(c) ? Kind::kSpace : is_word(c) ? Kind::kWord : Kind::kOther;
  };
  size_t begin = 0;
  size_t at = 0;
  Kind kind = Kind::kSpace;
  const auto flush = [&] {
    if (kind != Kind::kSpace && at > begin) {
      out.push_back({piece.text.substr(begin, at - begin), piece.at_start && begin == 0});
    }
    begin = at;
  };
  for_each_char(piece.text, [&](char32_t c, std::string_view bytes) {
    const Kind next = kind_of(c);
    if (next != kind) flush();
    kind = next;
    at += bytes.size();
  });
  flush();
}

// Cuts where the script changes. What goes with any script joins what is before it; before the
// first character with a script it is dropped.
void cut_scripts(Piece piece, std::vector<Piece>& out) {
  size_t begin = 0;
  size_t at = 0;
  uint8_t script = 0;
  const auto flush = [&] {
    if (script != 0 && at > begin) {
      out.push_back({piece.text.substr(begin, at - begin), piece.at_start && begin == 0});
    }
    begin = at;
  };
  for_each_char(piece.text, [&](char32_t c, std::string_view bytes) {
    const uint8_t next = script_of(c);
    if (next != 0 && next != script) {
      flush();
      script = next;
    }
    at += bytes.size();
  });
  flush();
}

}  // namespace

struct PreTokenizer::Runner {
  Pieces& pieces;
  RegexScratch& scratch;
  bool keep_bytes;

  std::string_view write(std::string text) {
    pieces.written.push_back(std::move(text));
    return pieces.written.back();
  }

  void cut(Piece piece, const Regex& regex, SplitBehavior behavior, bool invert,
           std::vector<Piece>& out) {
    Cutter cutter(piece, behavior, out);
    MatchFeeder feeder(cutter, invert);
    for_each_match(regex, piece.text, scratch, [&](Match match) { feeder.match(match); });
    feeder.finish(piece.text.size());
  }

  void cut(Piece piece, std::string_view literal, SplitBehavior behavior, bool invert,
           std::vector<Piece>& out) {
    Cutter cutter(piece, behavior, out);
    MatchFeeder feeder(cutter, invert);
    for (size_t at = 0; !literal.empty();) {
      const size_t found = piece.text.find(literal, at);
      if (found == std::string_view::npos) break;
      at = found + literal.size();
      feeder.match({found, at});
    }
    feeder.finish(piece.text.size());
  }

  void operator()(const ByteLevel& step, Piece piece) {
    if (step.add_prefix_space && !piece.text.starts_with(' ')) {
      piece.text = write(std::string(" ").append(piece.text));
    }
    const size_t first = pieces.next.size();
    if (step.regex) {
      cut(piece, *step.regex, SplitBehavior::kIsolated, false, pieces.next);
    } else {
      pieces.next.push_back(piece);
    }
    if (keep_bytes) return;
    for (size_t i = first; i < pieces.next.size(); ++i) {
      std::string chars;
      append_byte_chars(chars, pieces.next[i].text);
      pieces.next[i].text = write(std::move(chars));
    }
  }

  void operator()(const Split& step, Piece piece) {
    if (step.regex) {
      cut(piece, *step.regex, step.behavior, step.invert, pieces.next);
    } else {
      cut(piece, step.literal, step.behavior, step.invert, pieces.next);
    }
  }

  void operator()(const Metaspace& step, Piece piece) {
    const pre::Metaspace& spec = step.spec;
    std::string text = replace_all(piece.text, " ", spec.replacement);
    const bool wants_prefix = spec.prepend_scheme == PrependScheme::kAlways ||
                              (spec.prepend_scheme == PrependScheme::kFirst && piece.at_start);
    if (wants_prefix && !text.starts_with(spec.replacement)) text.insert(0, spec.replacement);
    piece.text = write(std::move(text));
    if (spec.split) {
      cut(piece, spec.replacement, SplitBehavior::kMergedWithNext, false, pieces.next);
    } else {
      pieces.next.push_back(piece);
    }
  }

  void operator()(const pre::Whitespace&, Piece piece) { cut_words(piece, pieces.next); }

  void operator()(const pre::WhitespaceSplit&, Piece piece) {
    cut_chars(piece, SplitBehavior::kRemoved, pieces.next, is_white_space);
  }

  void operator()(const pre::Digits& step, Piece piece) {
    cut_chars(piece, step.individual_digits ? SplitBehavior::kIsolated : SplitBehavior::kContiguous,
              pieces.next, is_numeric);
  }

  void operator()(const pre::Punctuation& step, Piece piece) {
    cut_chars(piece, step.behavior, pieces.next, is_punctuation);
  }

  void operator()(const pre::Bert&, Piece piece) {
    std::vector<Piece> words;
    cut_chars(piece, SplitBehavior::kRemoved, words, is_white_space);
    for (const Piece& word : words) {
      cut_chars(word, SplitBehavior::kIsolated, pieces.next, is_punctuation);
    }
  }

  void operator()(const pre::CharDelimiter& step, Piece piece) {
    cut(piece, step.delimiter, SplitBehavior::kRemoved, false, pieces.next);
  }

  void operator()(const pre::UnicodeScripts&, Piece piece) { cut_scripts(piece, pieces.next); }

  void operator()(const pre::FixedLength& step, Piece piece) {
    size_t begin = 0;
    size_t at = 0;
    size_t chars = 0;
    const auto flush = [&] {
      if (at > begin) {
        pieces.next.push_back({piece.text.substr(begin, at - begin), piece.at_start && begin == 0});
      }
      begin = at;
      chars = 0;
    };
    for_each_char(piece.text, [&](char32_t, std::string_view bytes) {
      at += bytes.size();
      if (++chars == step.length) flush();
    });
    flush();
  }
};

PreTokenizer::PreTokenizer(const std::vector<PreTokenizerSpec>& specs, ByteOutput wanted,
                           const std::string& where) {
  size_t byte_levels = 0;
  for (const PreTokenizerSpec& spec : specs) {
    if (const auto* byte_level = std::get_if<pre::ByteLevel>(&spec)) {
      ++byte_levels;
      ByteLevel step{.add_prefix_space = byte_level->add_prefix_space, .regex = {}};
      if (byte_level->use_regex) step.regex.emplace(kGpt2Pattern, where);
      steps_.emplace_back(std::move(step));
    } else if (const auto* split = std::get_if<pre::Split>(&spec)) {
      Split step{.literal = split->pattern.text,
                 .regex = {},
                 .behavior = split->behavior,
                 .invert = split->invert};
      if (split->pattern.kind == Pattern::Kind::kRegex) {
        step.regex.emplace(split->pattern.text, where);
      }
      steps_.emplace_back(std::move(step));
    } else if (const auto* metaspace = std::get_if<pre::Metaspace>(&spec)) {
      steps_.emplace_back(Metaspace{*metaspace});
    } else {
      std::visit(
          [&]<typename Spec>(const Spec& plain) {
            if constexpr (std::is_constructible_v<Step, Spec>) steps_.emplace_back(plain);
          },
          spec);
    }
  }
  yields_bytes_ = wanted == ByteOutput::kBytes && byte_levels == 1 &&
                  std::holds_alternative<ByteLevel>(steps_.back());
}

void PreTokenizer::apply(Pieces& pieces, RegexScratch& scratch) const {
  Runner runner{pieces, scratch, yields_bytes_};
  for (const Step& step : steps_) {
    pieces.next.clear();
    for (const Piece& piece : pieces.now) {
      std::visit([&](const auto& known) { runner(known, piece); }, step);
    }
    pieces.now.swap(pieces.next);
  }
}

}  // namespace hearth::tokenizer
