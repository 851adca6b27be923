// hearth tokenize: what a model's tokenizer makes of a text, and back.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>

#include "apps/commands.h"
#include "apps/model_source.h"
#include "base/error.h"
#include "io/json.h"
#include "tokenizer/tokenizer.h"

namespace hearth::apps {
namespace {

using tokenizer::AddSpecial;
using tokenizer::Tokenizer;

struct Tokenize {
  std::string model;
  std::string text;
  std::string data_dir = default_data_dir();
  bool decode = false;
  bool ids_only = false;
  bool bare = false;
};

std::string read_stdin() { return {std::istreambuf_iterator<char>(std::cin), {}}; }

std::vector<int32_t> parse_ids(const std::string& text) {
  std::vector<int32_t> ids;
  const char* at = text.c_str();
  while (*at != '\0') {
    if (std::isdigit(static_cast<unsigned char>(*at)) == 0) {
      ++at;
      continue;
    }
    char* end = nullptr;
    const unsigned long long id = std::strtoull(at, &end, 10);
    if (id > INT32_MAX)
      throw_error(ErrorCode::kInvalidArgument, "text", "'{}' is not a token id",
                  std::string(at, static_cast<const char*>(end)));
    ids.push_back(static_cast<int32_t>(id));
    at = end;
  }
  return ids;
}

void print_table(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  for (int32_t id : ids) {
    const std::string piece = tokenizer.decode(std::span(&id, 1), tokenizer::SkipSpecial::kNo);
    std::printf("%8d  %s%s\n", id, io::dump_json(piece).c_str(),
                tokenizer.is_special(id) ? "  special" : "");
  }
  std::printf("%zu tokens\n", ids.size());
}

void run_tokenize(const Tokenize& options) {
  const ModelSource source = find_model(options.model, options.data_dir);
  const auto tokenizer = Tokenizer::load(*source.files);
  const std::string text = options.text.empty() ? read_stdin() : options.text;
  if (options.decode) {
    std::printf("%s\n", tokenizer->decode(parse_ids(text), tokenizer::SkipSpecial::kNo).c_str());
    return;
  }
  const auto ids = tokenizer->encode(text, options.bare ? AddSpecial::kNo : AddSpecial::kYes);
  if (options.ids_only) {
    std::printf("%s\n", io::dump_json(ids).c_str());
  } else {
    print_table(*tokenizer, ids);
  }
}

}  // namespace

void add_tokenize_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("tokenize", "Show the tokens of a text, or the text of tokens");
  auto options = std::make_shared<Tokenize>();
  command->add_option("--model", options->model,
                      "Model folder, .gguf file or name; the embedded model, if not given");
  command->add_option("text", options->text,
                      "The text, or with --decode the ids; read from standard input, if not given");
  command->add_flag("--decode", options->decode, "From ids to text");
  command->add_flag("--ids", options->ids_only, "Print the ids alone, as JSON");
  command->add_flag("--no-special", options->bare,
                    "Leave out what the model expects around a text (BOS)");
  command->add_option("--data-dir", options->data_dir, "Where named models are")
      ->envname("HEARTH_DATA_DIR");
  command->callback([options] { run_tokenize(*options); });
}

}  // namespace hearth::apps
