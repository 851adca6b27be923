#include "tokenizer/tokenizer.h"

#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
// tidy: allow threads: a tokenizer is shared by threads, which is what is tested
#include <thread>

#include "base/error.h"
#include "base/random.h"
#include "io/file.h"
#include "io/file_source.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/unicode.h"

namespace hearth::tokenizer {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Small tokenizers, one a model; expected values come from Hugging Face's tokenizers 0.23.1.
const std::string kByteBpe = R"({"added_tokens":[{"id":19,"content":"<|end|>","special":true}],
"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},
"decoder":{"type":"ByteLevel"},
"model":{"type":"BPE","vocab":{"h":0,"e":1,"l":2,"o":3,"Ġ":4,"w":5,"r":6,"d":7,"he":8,"ll":9,
"hell":10,"hello":11,"Ġw":12,"or":13,"Ġwor":14,"ld":15,"Ġworld":16,"Ã":17,"©":18},
"merges":["h e","l l","he ll","hell o","Ġ w","o r","Ġw or","l d","Ġwor ld"]}})";

const std::string kIgnoreMerges = R"({
"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},
"decoder":{"type":"ByteLevel"},
"model":{"type":"BPE","ignore_merges":true,"vocab":{"h":0,"e":1,"l":2,"o":3,"Ġ":4,"he":8,"ll":9,
"hell":10,"hello":11,"ellh":19},"merges":[["h","e"],["l","l"],["he","ll"],["hell","o"]]}})";

const std::string kSpmBpe = R"({
"added_tokens":[{"id":1,"content":"<s>","special":true,"normalized":false}],
"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},
{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},
"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},
{"Sequence":{"id":"A","type_id":0}}],"special_tokens":{"<s>":{"id":"<s>","ids":[1]}}},
"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},
{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
"model":{"type":"BPE","vocab":{"<unk>":0,"<s>":1,"▁":2,"a":3,"b":4,"ab":5,"▁ab":6,"<0xC3>":7,
"<0xA9>":8,"c":9,"▁▁":10},"merges":["a b","▁ ab","▁ ▁"],"unk_token":"<unk>","fuse_unk":true,
"byte_fallback":true}})";

const std::string kUnigram = R"({
"pre_tokenizer":{"type":"Metaspace","replacement":"▁","add_prefix_space":true},
"decoder":{"type":"Metaspace","replacement":"▁","prepend_scheme":"always"},
"model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0.0],["▁",-2.0],["a",-3],["b",-3.5],
["ab",-4.0],["▁ab",-5.5],["abc",-9.0],["c",-4.5],["<0xC3>",-10.0],["<0xA9>",-10.0]],
"byte_fallback":true}})";

const std::string kWordPiece = R"({"added_tokens":[{"id":1,"content":"[CLS]","special":true},
{"id":2,"content":"[SEP]","special":true}],
"normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,
"strip_accents":null,"lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},
"post_processor":{"type":"BertProcessing","sep":["[SEP]",2],"cls":["[CLS]",1]},
"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},
"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##",
"max_input_chars_per_word":10,"vocab":{"[UNK]":0,"[CLS]":1,"[SEP]":2,"un":3,"##aff":4,"##able":5,
"aff":6,"a":7,"##x":8,"!":9}}})";

const std::string kAdded = R"({"normalizer":{"type":"Lowercase"},"added_tokens":[
{"id":3,"content":"<l>","lstrip":true,"special":true,"normalized":false},
{"id":4,"content":"<r>","rstrip":true,"special":true,"normalized":false},
{"id":5,"content":"<w>","single_word":true,"special":true,"normalized":false},
{"id":6,"content":"<n>","special":false,"normalized":true},
{"id":7,"content":"<nn>","special":true,"normalized":false},
{"id":8,"content":"<n","special":false,"normalized":false},
{"id":9,"content":"AB","special":false,"normalized":true}],
"model":{"type":"BPE","vocab":{"a":0,"b":1," ":2},"merges":[]}})";

using Ids = std::vector<int32_t>;

Ids encode(const std::string& json, std::string_view text, AddSpecial add = AddSpecial::kYes) {
  return Tokenizer::from_json(json)->encode(text, add);
}

TEST(Tokenizer, RunsByteLevelBpe) {
  const auto tokenizer = Tokenizer::from_json(kByteBpe);
  EXPECT_THAT(tokenizer->encode("hello  world hello"), ElementsAre(11, 4, 16, 4, 11));
  EXPECT_THAT(tokenizer->encode("é<|end|>hello"), ElementsAre(17, 18, 19, 11));
  EXPECT_THAT(tokenizer->encode("helloworld x"), ElementsAre(11, 5, 13, 15, 4));
  EXPECT_THAT(tokenizer->encode(""), IsEmpty());
  EXPECT_EQ(tokenizer->decode(Ids{17, 18, 19, 11}), "éhello");
  EXPECT_EQ(tokenizer->decode(Ids{17, 18, 19, 11}, SkipSpecial::kNo), "é<|end|>hello");
  EXPECT_EQ(tokenizer->decode(Ids{11, 999, -1}), "hello");
}

TEST(Tokenizer, TakesWholeWordsBeforeMergesWhereAsked) {
  EXPECT_THAT(encode(kIgnoreMerges, "ellh"), ElementsAre(19));
  EXPECT_THAT(encode(kIgnoreMerges, "hello ellh"), ElementsAre(11, 4, 1, 9, 0));
}

TEST(Tokenizer, RunsSentencePieceBpe) {
  EXPECT_THAT(encode(kSpmBpe, "ab  ab"), ElementsAre(1, 6, 2, 6));
  EXPECT_THAT(encode(kSpmBpe, "é ab"), ElementsAre(1, 2, 7, 8, 6));
  EXPECT_THAT(encode(kSpmBpe, "xyz ab中文"), ElementsAre(1, 2, 0, 6, 0));
  EXPECT_THAT(encode(kSpmBpe, ""), ElementsAre(1));
  EXPECT_THAT(encode(kSpmBpe, "ab<s>ab", AddSpecial::kNo), ElementsAre(6, 1, 6));
  EXPECT_EQ(Tokenizer::from_json(kSpmBpe)->decode(Ids{1, 2, 7, 8, 6}), "é ab");
}

TEST(Tokenizer, RunsBpeWithAffixes) {
  const std::string json = R"({"pre_tokenizer":{"type":"WhitespaceSplit"},"model":{"type":"BPE",
"vocab":{"<unk>":0,"a":1,"##b":2,"b</w>":3,"##b</w>":4,"ab</w>":5,"a</w>":6,"##a":7},
"merges":["a ##b</w>"],"unk_token":"<unk>","continuing_subword_prefix":"##",
"end_of_word_suffix":"</w>"}})";
  EXPECT_THAT(encode(json, "ab a b"), ElementsAre(5, 6, 3));
  EXPECT_THAT(encode(json, "aab abx"), ElementsAre(1, 7, 4, 1, 2, 0));
}

TEST(Tokenizer, RunsUnigram) {
  EXPECT_THAT(encode(kUnigram, "ab abc"), ElementsAre(5, 5, 7));
  EXPECT_THAT(encode(kUnigram, "xyz ab"), ElementsAre(1, 0, 5));
  EXPECT_THAT(encode(kUnigram, "aab"), ElementsAre(1, 2, 4));
  EXPECT_THAT(encode(kUnigram, "abé"), ElementsAre(5, 8, 9));
  EXPECT_EQ(Tokenizer::from_json(kUnigram)->decode(Ids{5, 5, 7}), "ab abc");
}

TEST(Tokenizer, RunsWordPieceAndWordLevel) {
  EXPECT_THAT(encode(kWordPiece, "Unaffable!"), ElementsAre(1, 3, 4, 5, 9, 2));
  EXPECT_THAT(encode(kWordPiece, "unaffq aff áx"), ElementsAre(1, 0, 6, 7, 8, 2));
  EXPECT_THAT(encode(kWordPiece, "aaaaaaaaaaaa a"), ElementsAre(1, 0, 7, 2));
  EXPECT_EQ(Tokenizer::from_json(kWordPiece)->decode(Ids{1, 3, 4, 5, 9, 2}), "unaffable!");
  EXPECT_THAT(encode(R"({"pre_tokenizer":{"type":"Whitespace"},"model":{"type":"WordLevel",
"unk_token":"?","vocab":{"?":0,"a":1,"b":2}}})",
                     "a,b c"),
              ElementsAre(1, 0, 2, 0));
}

TEST(Tokenizer, FindsAddedTokens) {
  EXPECT_THAT(encode(kAdded, "a <l>  b"), ElementsAre(0, 3, 2, 2, 1));
  EXPECT_THAT(encode(kAdded, "a<r>  b"), ElementsAre(0, 4, 1));
  EXPECT_THAT(encode(kAdded, "a<w>b <w> <w>,"), ElementsAre(0, 1, 2, 5, 2, 5));
  EXPECT_THAT(encode(kAdded, "<N><n><nn><n"), ElementsAre(6, 8, 7, 8));
  EXPECT_THAT(encode(kAdded, "ab Ab abAB"), ElementsAre(9, 2, 9, 2, 9, 9));
  EXPECT_THAT(encode(kAdded, "<r> <l>"), ElementsAre(4, 3));
}

TEST(Tokenizer, ReadsSpecialTokensAsTextWhereAsked) {
  const auto plain = [](std::string_view text) {
    return Tokenizer::from_json(kAdded)->encode(text, AddSpecial::kNo, ParseSpecial::kAsText);
  };
  EXPECT_THAT(plain("a<r>  b"), ElementsAre(0, 2, 2, 1));
  EXPECT_THAT(plain("<N><n><nn><n"), ElementsAre(6, 8, 8));  // only special ones
}

TEST(Tokenizer, DescribesItsTokens) {
  const auto tokenizer = Tokenizer::from_json(kByteBpe, R"({"bos_token":"<|end|>",
"eos_token":{"content":"<|end|>"},"pad_token":null})");
  EXPECT_EQ(tokenizer->vocab_size(), 20);
  EXPECT_EQ(tokenizer->token_text(16), "Ġworld");
  EXPECT_EQ(tokenizer->token_bytes(16), " world");
  EXPECT_EQ(tokenizer->token_bytes(17), "\xC3");
  EXPECT_EQ(tokenizer->token_bytes(19), "");
  EXPECT_EQ(tokenizer->id_of("Ġworld"), 16);
  EXPECT_EQ(tokenizer->id_of("<|end|>"), 19);
  EXPECT_EQ(tokenizer->id_of("nothing"), kNoToken);
  EXPECT_TRUE(tokenizer->is_special(19));
  EXPECT_FALSE(tokenizer->is_special(16));
  EXPECT_EQ(tokenizer->bos_id(), 19);
  EXPECT_EQ(tokenizer->eos_id(), 19);
  EXPECT_EQ(tokenizer->pad_id(), kNoToken);
}

TEST(Tokenizer, FollowsTheConfigBesideIt) {
  const char* config = R"({"bos_token":"<s>","eos_token":"<e>","add_bos_token":false,
"add_eos_token":true,"added_tokens_decoder":{"20":{"content":"<e>","special":true,
"normalized":false}}})";
  const auto tokenizer = Tokenizer::from_json(kSpmBpe, config);
  EXPECT_THAT(tokenizer->encode("ab"), ElementsAre(6, 20));
  EXPECT_THAT(tokenizer->encode("ab<e>", AddSpecial::kNo), ElementsAre(6, 20));
}

TEST(Tokenizer, ReadsInvalidUtf8AsReplacementCharacters) {
  const auto tokenizer = Tokenizer::from_json(kUnigram);
  EXPECT_EQ(tokenizer->encode("a\xC3"), tokenizer->encode("a\uFFFD"));
}

TEST(Tokenizer, MergesLongWordsAsShortOnes) {
  const auto tokenizer = Tokenizer::from_json(kByteBpe);
  std::string word;
  Ids expected;
  for (int i = 0; i < 100'000; ++i) word += "hello";
  expected.assign(100'000, 11);
  EXPECT_EQ(tokenizer->encode(word), expected);
}

TEST(Tokenizer, ServesManyThreads) {
  const auto tokenizer = Tokenizer::from_json(kByteBpe);
  std::vector<Ids> results(4);
  {
    // tidy: allow threads: the same
    std::vector<std::jthread> threads;
    for (Ids& result : results) {
      threads.emplace_back([&] {
        for (int i = 0; i < 200; ++i) result = tokenizer->encode("hello world hello é");
      });
    }
  }
  for (const Ids& result : results) EXPECT_THAT(result, ElementsAre(11, 16, 4, 11, 4, 17, 18));
}

std::string error_of(const std::string& json) {
  try {
    Tokenizer::from_json(json);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Tokenizer, NamesWhatItDoesNotKnow) {
  EXPECT_EQ(error_of(R"({"model":{"type":"Gadget","vocab":{}}})"),
            "tokenizer.json: model: model 'Gadget' is not supported");
  EXPECT_EQ(error_of(R"({"model":{"type":"WordLevel","vocab":{"<unk>":0}},"normalizer":
{"type":"Sequence","normalizers":[{"type":"Shout"}]}})"),
            "tokenizer.json: normalizer.normalizers[0]: normalizer 'Shout' is not supported");
  EXPECT_EQ(error_of(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}})"),
            "tokenizer.json: merge 0 ('a' + 'b' = 'ab') needs a token that is not in model.vocab");
  EXPECT_EQ(error_of(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["ab"]}})"),
            "tokenizer.json: model.merges[0] is 'ab', not two tokens with a space between");
  EXPECT_EQ(error_of("{"), "tokenizer.json: not valid JSON at byte 2");
  EXPECT_EQ(error_of("[]"), "tokenizer.json: not a JSON object");
}

// Any ids, not only those that an encoder gives.
TEST(StreamDecoder, GivesWhatDecodeGives) {
  for (const std::string& json : {kByteBpe, kSpmBpe, kUnigram, kWordPiece}) {
    const auto tokenizer = Tokenizer::from_json(json);
    Random random(7);
    for (int round = 0; round < 300; ++round) {
      Ids ids;
      for (int i = 0; i < 12; ++i) {
        ids.push_back(
            static_cast<int32_t>(random.below(static_cast<uint64_t>(tokenizer->vocab_size()))));
      }
      StreamDecoder stream(*tokenizer);
      std::string text;
      for (const int32_t id : ids) {
        const std::string part = stream.push(id);
        EXPECT_TRUE(is_valid_utf8(part));
        text += part;
      }
      EXPECT_EQ(text + stream.finish(), tokenizer->decode(ids));
    }
  }
}

class LoadTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = testing::TempDir() + "hearth_tokenizer_" +
           testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  void write(const std::string& name, std::string_view text) {
    io::write_file_atomic(dir_ + "/" + name, text);
  }

  std::unique_ptr<Tokenizer> load() const {
    io::Folder files(dir_);
    return Tokenizer::load(files);
  }

  std::string dir_;
};

// A SentencePiece model as its protobuf bytes.
class SpmWriter {
 public:
  void piece(std::string_view text, float score, int type) {
    std::string body = field(1, text);
    body += '\x15';
    body.append(reinterpret_cast<const char*>(&score), 4);
    body += '\x18';
    body += static_cast<char>(type);
    out_ += field(1, body);
  }
  void trainer(int model_type) {
    std::string body = {'\x18', static_cast<char>(model_type), '\x98', '\x02', '\x01'};
    out_ += field(2, body);
  }
  const std::string& bytes() const { return out_; }

 private:
  static std::string field(int number, std::string_view body) {
    std::string out(1, static_cast<char>(number << 3 | 2));
    out += static_cast<char>(body.size());
    return out.append(body);
  }
  std::string out_;
};

TEST_F(LoadTest, ReadsSentencePieceBpe) {
  SpmWriter model;
  model.piece("<unk>", 0, 2);
  model.piece("<s>", 0, 3);
  model.piece("</s>", 0, 3);
  model.piece("<0xC3>", 0, 6);
  model.piece("<0xA9>", 0, 6);
  model.piece("ab", -1, 1);
  model.piece("▁ab", -2, 1);
  model.piece("▁", -3, 1);
  model.piece("a", -4, 1);
  model.piece("b", -5, 1);
  model.piece("<mine>", 0, 4);
  model.trainer(2);
  write("tokenizer.model", model.bytes());
  const auto tokenizer = load();
  EXPECT_THAT(tokenizer->encode("ab aé<mine></s>"), ElementsAre(1, 6, 7, 8, 3, 4, 10, 2));
  EXPECT_EQ(tokenizer->decode(Ids{1, 6, 7, 8, 3, 4, 2}), "ab aé");
  EXPECT_EQ(tokenizer->eos_id(), 2);
  EXPECT_TRUE(tokenizer->is_special(2));
  EXPECT_FALSE(tokenizer->is_special(10));
  write("tokenizer.model", model.bytes().substr(0, 40));
  EXPECT_THROW(load(), Error);
}

TEST_F(LoadTest, ReadsVocabAndMerges) {
  write("vocab.json", R"({"h":0,"i":1,"hi":2,"Ġ":3,"Ġhi":4,"<|endoftext|>":5})");
  write("merges.txt", "#version: 0.2\nh i\nĠ hi\n");
  write("tokenizer_config.json", R"({"eos_token":"<|endoftext|>"})");
  const auto tokenizer = load();
  EXPECT_THAT(tokenizer->encode("hi hi<|endoftext|>"), ElementsAre(2, 4, 5));
  EXPECT_TRUE(tokenizer->is_special(5));
  EXPECT_EQ(tokenizer->decode(Ids{2, 4}), "hi hi");
}

TEST_F(LoadTest, NamesWhatIsMissing) {
  try {
    load();
    FAIL();
  } catch (const Error& error) {
    EXPECT_TRUE(error.code == ErrorCode::kNotFound);
    EXPECT_THAT(error.what(), testing::HasSubstr("expected tokenizer.json"));
  }
}

}  // namespace
}  // namespace hearth::tokenizer
