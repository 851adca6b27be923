// hearth tokenizer train: a byte-level BPE vocabulary out of text files.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "base/error.h"
#include "io/file.h"
#include "io/json.h"
#include "train/bpe_trainer.h"
#include "train/corpus.h"

namespace hearth::apps {
namespace {

struct TokenizerTrain {
  std::vector<std::string> files;
  std::string out;
  int64_t vocab_size = 4096;
  std::vector<std::string> special = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  int64_t context = 2048;
};

// The chat form of the special tokens above, as transformers runs it.
constexpr const char* kChatTemplate =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
    "message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

io::Json tokenizer_config(const TokenizerTrain& options) {
  io::Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                     {"model_max_length", options.context},
                     {"clean_up_tokenization_spaces", false}};
  if (!options.special.empty()) {
    config["bos_token"] = options.special.front();
    config["eos_token"] = options.special.back();
    config["pad_token"] = options.special.front();
  }
  const bool chats = std::count(options.special.begin(), options.special.end(), "<|im_start|>") > 0;
  if (chats) config["chat_template"] = kChatTemplate;
  return config;
}

void run(const TokenizerTrain& options) {
  train::WordCounts words;
  int64_t documents = 0;
  for (const std::string& file : options.files) {
    train::read_corpus(file, train::format_of(file), "<|endoftext|>",
                       [&](const train::Document& document) {
                         words.add(train::whole_text(document));
                         ++documents;
                       });
  }
  const auto special = static_cast<int64_t>(options.special.size());
  if (options.vocab_size < special + 256) {
    throw_error(ErrorCode::kInvalidArgument, "--vocab-size",
                "{} is less than the 256 bytes and {} special tokens", options.vocab_size, special);
  }
  const train::BpeVocabulary vocabulary =
      train::train_bpe(words.counts(), options.vocab_size - special);
  std::filesystem::create_directories(options.out);
  io::write_file_atomic(options.out + "/tokenizer.json",
                        train::tokenizer_json(vocabulary, options.special).dump(1) + "\n");
  io::write_file_atomic(options.out + "/tokenizer_config.json",
                        tokenizer_config(options).dump(1) + "\n");
  std::printf("%lld documents, %zu different words, %lld tokens in %s\n",
              static_cast<long long>(documents), words.counts().size(),
              static_cast<long long>(special) + static_cast<long long>(vocabulary.tokens.size()),
              options.out.c_str());
}

}  // namespace

void add_tokenizer_command(CLI::App& app) {
  auto options = std::make_shared<TokenizerTrain>();
  CLI::App* group = app.add_subcommand("tokenizer", "Make tokenizers");
  group->require_subcommand(1);
  CLI::App* command =
      group->add_subcommand("train", "Train a byte-level BPE and write tokenizer.json");
  command->add_option("FILES", options->files, "text, or .jsonl with \"text\" or \"messages\"")
      ->required();
  command->add_option("--out", options->out, "folder for the tokenizer's files")->required();
  command->add_option("--vocab-size", options->vocab_size, "tokens, special ones included")
      ->capture_default_str();
  command
      ->add_option("--special", options->special,
                   "special tokens; the first also begins and pads, the last ends a turn")
      ->capture_default_str();
  command->add_option("--context", options->context, "model_max_length")->capture_default_str();
  command->callback([options] { run(*options); });
}

}  // namespace hearth::apps
