// What serve needs to know of a model's language: text to tokens and back, chat prompts, replies
// taken apart, and grammars as token constraints. Interfaces, so that the API is tested without a
// model; language_of_files.h makes the real ones. Everything const is called from many threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/sampling.h"
#include "engine/types.h"
#include "io/json_fwd.h"

namespace hearth::serve {

using engine::TokenId;

enum class SpecialTokens { kKeep, kSkip };
enum class PromptEdges {
  kBare,
  kAdd
};  // whether to add what the model expects around a text (BOS)

// Decodes the tokens of one sequence as they come; whole characters only.
class TextStream {
 public:
  virtual ~TextStream() = default;
  virtual std::string feed(TokenId token) = 0;
  // What was held back, once nothing more comes.
  virtual std::string finish() = 0;
};

class TextCodec {
 public:
  virtual ~TextCodec() = default;
  virtual std::vector<TokenId> encode(std::string_view text, PromptEdges edges) const = 0;
  virtual std::string decode(std::span<const TokenId> tokens, SpecialTokens special) const = 0;
  virtual std::unique_ptr<TextStream> stream(std::span<const TokenId> prompt,
                                             SpecialTokens special) const = 0;
  // The bytes that a token adds to a text; they may be part of a character. Special tokens give
  // their name.
  virtual std::string token_bytes(TokenId token) const = 0;
  virtual int32_t vocab_size() const = 0;
};

struct ChatPrompt {
  std::vector<TokenId> tokens;
  std::string text;
};

struct ChatInput {
  const io::Json* messages = nullptr;         // OpenAI's shape
  const io::Json* tools = nullptr;            // null: none
  const io::Json* template_kwargs = nullptr;  // null: none
  bool add_generation_prompt = true;
  bool continue_final_message = false;
};

// One piece of a reply, in the order in which clients are told.
struct ReplyPart {
  enum class Kind {
    kText,
    kReasoning,
    kToolCall,       // a call begins: tool_index, name
    kToolArguments,  // more of the arguments of call tool_index
  };
  Kind kind = Kind::kText;
  std::string text;
  int tool_index = 0;
  std::string name;
};

// Takes the text of one reply apart as it comes.
class ReplyParser {
 public:
  virtual ~ReplyParser() = default;
  virtual std::vector<ReplyPart> feed(std::string_view text) = 0;
  virtual std::vector<ReplyPart> finish() = 0;
  // Whether what comes next is reasoning.
  virtual bool reasoning() const { return false; }
};

// What the reply is held to. At most one per request.
struct ConstraintSpec {
  enum class Kind { kJsonObject, kJsonSchema, kRegex, kChoice, kGrammar };
  Kind kind = Kind::kJsonObject;
  std::string text;                  // schema (JSON), regex or grammar
  std::vector<std::string> choices;  // kChoice
};

enum class ToolUse {
  kNone,      // never
  kAuto,      // the model decides
  kRequired,  // at least one call
  kNamed,     // exactly the named one
};

struct ToolRules {
  ToolUse use = ToolUse::kNone;
  const io::Json* tools = nullptr;  // OpenAI's array
  std::string named;                // kNamed
  bool parallel = true;
};

class ChatFormat {
 public:
  virtual ~ChatFormat() = default;
  // Throws Error{kInvalidArgument} where the template refuses the messages.
  virtual ChatPrompt prompt(const ChatInput& input) const = 0;
  // Null when there is nothing to take apart. `prompt` is the text that the reply continues.
  virtual std::unique_ptr<ReplyParser> parser(const ToolRules& tools,
                                              std::string_view prompt) const = 0;
  // Whether reasoning is marked by special tokens, which the parser then has to see.
  virtual bool marks_with_special_tokens() const { return false; }
  // Stop strings of the format itself.
  virtual std::vector<std::string> stops() const { return {}; }
};

class ConstraintCompiler {
 public:
  virtual ~ConstraintCompiler() = default;
  // One object per sequence. Throws Error{kInvalidArgument or kUnsupported} naming the place in
  // what the client sent; `field` is the request's field.
  virtual std::shared_ptr<engine::TokenConstraint> compile(const ConstraintSpec& spec,
                                                           const std::string& field) const = 0;
  // Holds the reply to the format's tool calls: kRequired and kNamed only.
  virtual std::shared_ptr<engine::TokenConstraint> compile_tools(const ToolRules& rules) const = 0;
};

}  // namespace hearth::serve
