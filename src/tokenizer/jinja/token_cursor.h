// The tokens of a template, read from front to back by the parsers of statements and expressions.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tokenizer/jinja/lexer.h"

namespace hearth::tokenizer::jinja {

class TokenCursor {
 public:
  using Names = std::initializer_list<std::string_view>;

  // `name` is the template's, for errors; it outlives this.
  TokenCursor(std::vector<Token> tokens, const std::string& name)
      : tokens_(std::move(tokens)), name_(name) {}

  // Bounds the recursion of the parser itself.
  class Level {
   public:
    explicit Level(TokenCursor& cursor) : cursor_(cursor) {
      if (++cursor_.depth_ > kDepthMax) {
        cursor_.fail(fmt::format("nested deeper than {} levels", kDepthMax));
      }
    }
    ~Level() { --cursor_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    TokenCursor& cursor_;
  };

  const Token& now() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  bool is_kind(TokenKind kind) const { return now().kind == kind; }
  static bool is(const Token& token, TokenKind kind, std::string_view text) {
    return token.kind == kind && token.text == text;
  }
  bool is_name(std::string_view text) const { return is(now(), TokenKind::kName, text); }
  bool is_op(std::string_view text) const { return is(now(), TokenKind::kOperator, text); }
  bool is_any_name(Names names) const {
    return is_kind(TokenKind::kName) &&
           std::find(names.begin(), names.end(), now().text) != names.end();
  }
  Token take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool skip_name(std::string_view text) {
    const bool found = is_name(text);
    if (found) take();
    return found;
  }
  bool skip_op(std::string_view text) {
    const bool found = is_op(text);
    if (found) take();
    return found;
  }

  [[noreturn]] void fail(std::string text) const { fail_at(now().at, std::move(text)); }
  [[noreturn]] void fail_at(Position at, std::string text) const {
    jinja::fail_at(name_, at, std::move(text));
  }

  std::string describe() const {
    switch (now().kind) {
      case TokenKind::kText:
      case TokenKind::kBlockBegin:
      case TokenKind::kOutputBegin:
      case TokenKind::kEnd:
        return "the end of the template";
      case TokenKind::kBlockEnd:
        return "the end of the tag '%}'";
      case TokenKind::kOutputEnd:
        return "the end of the tag '}}'";
      default:
        return fmt::format("'{}'", now().text);
    }
  }

  void expect_op(std::string_view text) {
    if (!skip_op(text)) fail(fmt::format("expected '{}', found {}", text, describe()));
  }
  void expect_name(std::string_view text) {
    if (!skip_name(text)) fail(fmt::format("expected '{}', found {}", text, describe()));
  }
  std::string expect_identifier() {
    if (!is_kind(TokenKind::kName)) fail(fmt::format("expected a name, found {}", describe()));
    return take().text;
  }
  void expect_block_end() {
    if (!is_kind(TokenKind::kBlockEnd)) fail(fmt::format("expected '%}}', found {}", describe()));
    take();
  }

 private:
  static constexpr int kDepthMax = 100;  // of nested brackets and blocks

  const std::vector<Token> tokens_;
  const std::string& name_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace hearth::tokenizer::jinja
