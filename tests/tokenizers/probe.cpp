// What Hearth's tokenizer makes of strings, for the suite to compare.
//
//   tokenizers_probe DIR       a model folder
// Each line of standard input is one string, its bytes in hexadecimal (so that it may be invalid
// UTF-8); each line of output is a JSON object: ids without and with special tokens, ids with
// special tokens read as text, and the text that the ids decode to, whole and as a stream.
#include <cstdio>
#include <iostream>
#include <string>

#include "base/error.h"
#include "io/file_source.h"
#include "io/json.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/tokenizer.h"

namespace {

using hearth::io::Json;
using hearth::tokenizer::AddSpecial;
using hearth::tokenizer::ParseSpecial;
using hearth::tokenizer::SkipSpecial;
using hearth::tokenizer::StreamDecoder;
using hearth::tokenizer::Tokenizer;

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

std::string stream(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, SkipSpecial skip) {
  StreamDecoder decoder(tokenizer, skip);
  std::string text;
  for (const int32_t id : ids) text += decoder.push(id);
  return text + decoder.finish();
}

Json describe(const Tokenizer& tokenizer, const std::string& text) {
  const auto ids = tokenizer.encode(text, AddSpecial::kNo);
  const auto ids_special = tokenizer.encode(text, AddSpecial::kYes);
  Json result;
  result["ids"] = ids;
  result["ids_special"] = ids_special;
  result["ids_text"] = tokenizer.encode(text, AddSpecial::kNo, ParseSpecial::kAsText);
  result["decoded"] = tokenizer.decode(ids, SkipSpecial::kNo);
  result["decoded_skip"] = tokenizer.decode(ids_special, SkipSpecial::kYes);
  result["streamed"] = stream(tokenizer, ids, SkipSpecial::kNo) == result["decoded"] &&
                       stream(tokenizer, ids_special, SkipSpecial::kYes) == result["decoded_skip"];
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: tokenizers_probe DIR < strings-in-hex\n");
    return 2;
  }
  try {
    hearth::io::Folder files(argv[1]);
    const auto tokenizer = Tokenizer::load(files);
    for (std::string line; std::getline(std::cin, line);) {
      std::cout << hearth::io::dump_json(describe(*tokenizer, from_hex(line))) << '\n';
    }
  } catch (const hearth::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
