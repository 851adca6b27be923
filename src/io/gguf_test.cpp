// GGUF files written here are read back, and damaged ones are refused with a text that names what
// is wrong.
#include "io/gguf.h"

#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>

#include "base/error.h"
#include "io/gguf_writer.h"

namespace hearth::io {
namespace {

// A file with a value of each kind and two tensors.
std::string small_file() {
  GgufWriter writer;
  writer.text("general.architecture", "llama");
  writer.integer("llama.block_count", 2);
  writer.number("llama.rope.freq_base", 10000.0f);
  writer.flag("tokenizer.ggml.add_bos_token", true);
  const std::string words[] = {"a", "", "\xE2\x96\x81the"};
  writer.texts("tokenizer.ggml.tokens", words);
  const int32_t types[] = {1, 3, -6};
  writer.integers("tokenizer.ggml.token_type", types);
  const float scores[] = {0.5f, -2.0f};
  writer.numbers("tokenizer.ggml.scores", scores);
  writer.bytes("tokenizer.ggml.precompiled_charsmap", std::string_view("\x01\xff", 2));
  const int64_t matrix[] = {2, 3};
  writer.tensor("matrix", *gguf_type("F32"), matrix, [](const GgufWriter::Sink& sink) {
    for (float x : {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f}) sink(std::as_bytes(std::span(&x, 1)));
  });
  const int64_t blocks[] = {1, 64};
  writer.tensor("blocks", *gguf_type("Q8_0"), blocks,
                [](const GgufWriter::Sink& sink) { sink(as_bytes(std::string(68, 'b'))); });
  const std::string path = testing::TempDir() + "gguf_test.gguf";
  writer.write(path);
  std::string bytes = read_file(path);
  std::filesystem::remove(path);
  return bytes;
}

std::string gguf_error(const std::string& file, const GgufLimits& limits = {}) {
  try {
    parse_gguf(as_bytes(file), "m.gguf", limits);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Gguf, WhatWasWrittenIsRead) {
  const std::string file = small_file();
  const Gguf gguf = parse_gguf(as_bytes(file), "m.gguf");
  const GgufMetadata& metadata = gguf.metadata;
  EXPECT_EQ(metadata.text("general.architecture"), "llama");
  EXPECT_EQ(metadata.integer("llama.block_count"), 2);
  EXPECT_EQ(metadata.number("llama.block_count"), 2.0);
  EXPECT_EQ(metadata.number("llama.rope.freq_base"), 10000.0);
  EXPECT_EQ(metadata.flag("tokenizer.ggml.add_bos_token"), true);
  EXPECT_EQ(metadata.strings("tokenizer.ggml.tokens"),
            (std::vector<std::string_view>{"a", "", "\xE2\x96\x81the"}));
  EXPECT_EQ(metadata.numbers("tokenizer.ggml.token_type"), (std::vector<double>{1, 3, -6}));
  EXPECT_EQ(metadata.numbers("tokenizer.ggml.scores"), (std::vector<double>{0.5, -2}));
  EXPECT_EQ(metadata.numbers("tokenizer.ggml.precompiled_charsmap"), (std::vector<double>{1, 255}));
  EXPECT_EQ(metadata.numbers("llama.block_count"), (std::vector<double>{2}));
  EXPECT_FALSE(metadata.text("nothing").has_value());

  const StoredTensor& matrix = gguf.tensors.at("matrix");
  EXPECT_EQ(matrix.dtype, "F32");
  EXPECT_EQ(matrix.shape, (std::vector<int64_t>{2, 3}));
  float last = 0;
  std::memcpy(&last, matrix.data.data() + 20, sizeof(last));
  EXPECT_EQ(last, 6.0f);
  EXPECT_EQ(gguf.tensors.at("blocks").data.size(), 68u);
}

TEST(Gguf, KeysOfAnotherTypeAreNamed) {
  const std::string file = small_file();
  const Gguf gguf = parse_gguf(as_bytes(file), "m.gguf");
  const auto error = [&](auto read) {
    try {
      read();
    } catch (const Error& caught) {
      return std::string(caught.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(error([&] { gguf.metadata.integer("general.architecture"); }),
            "m.gguf: key 'general.architecture' is not a whole number");
  EXPECT_EQ(error([&] { gguf.metadata.strings("tokenizer.ggml.scores"); }),
            "m.gguf: key 'tokenizer.ggml.scores' is not a list of strings");
  EXPECT_EQ(error([&] { gguf.metadata.required_integer("llama.x"); }),
            "m.gguf: key 'llama.x' is missing");
}

TEST(Gguf, EveryTruncationIsRefused) {
  const std::string file = small_file();
  for (size_t length = 0; length + 32 < file.size(); ++length) {
    EXPECT_NE(gguf_error(file.substr(0, length)), "no error") << length;
  }
}

// A file whose bytes at `what` are replaced.
std::string patched(std::string file, std::string_view what, std::string_view with) {
  const size_t at = file.find(what);
  EXPECT_NE(at, std::string::npos);
  return file.replace(at, with.size(), with);
}

TEST(Gguf, HostileNumbersAreRefused) {
  const std::string file = small_file();
  const std::string huge = "\xff\xff\xff\xff\xff\xff\xff\x7f";
  EXPECT_EQ(gguf_error("GGML" + file.substr(4)),
            "m.gguf: not a GGUF file: it does not begin with 'GGUF'; download it again");
  EXPECT_NE(gguf_error(file.substr(0, 4) + std::string("\x01\0\0\0", 4) + file.substr(8))
                .find("GGUF version 1"),
            std::string::npos);
  EXPECT_NE(gguf_error(file.substr(0, 4) + std::string("\0\0\0\x03", 4) + file.substr(8))
                .find("big-endian"),
            std::string::npos);
  EXPECT_NE(
      gguf_error(file.substr(0, 8) + huge + file.substr(16)).find("tensors are over the limit"),
      std::string::npos);
  EXPECT_NE(gguf_error(file.substr(0, 16) + huge + file.substr(24)).find("over the limit"),
            std::string::npos);
  // The dimensions, the type and the offset of the first tensor.
  const std::string dims = std::string("matrix") + std::string("\2\0\0\0", 4);
  EXPECT_NE(
      gguf_error(patched(file, dims, dims + huge)).find("tensor 'matrix': the shape is larger"),
      std::string::npos);
  EXPECT_NE(gguf_error(patched(file, dims, "matrix\x09")).find("'matrix' has 9 dimensions"),
            std::string::npos);
  const std::string shape = std::string("\3\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0", 16);
  EXPECT_NE(gguf_error(patched(file, shape, shape + "\x63")).find("is of type 99"),
            std::string::npos);
  const std::string type = shape + std::string("\0\0\0\0", 4);
  EXPECT_NE(gguf_error(patched(file, type, type + "\x01")).find("no multiple of 32"),
            std::string::npos);
  EXPECT_NE(gguf_error(patched(file, type, type + std::string("\0\1", 2))).find("truncated"),
            std::string::npos);
}

TEST(Gguf, RowsFillWholeBlocks) {
  const std::string file = small_file();
  const std::string dims = std::string("blocks") + std::string("\2\0\0\0", 4);
  EXPECT_EQ(gguf_error(patched(file, dims, dims + "\x41")),
            "m.gguf: tensor 'blocks': rows of 65 do not fill whole blocks of 32 (Q8_0)");
}

// Parts of a split model lie beside the first.
TEST(Gguf, SplitModelsAreJoined) {
  const std::string folder = testing::TempDir() + "gguf_split/";
  std::filesystem::create_directories(folder);
  for (int part = 1; part <= 2; ++part) {
    GgufWriter writer;
    if (part == 1) writer.integer("split.count", 2);
    const int64_t shape[] = {4};
    writer.tensor(fmt::format("t{}", part), *gguf_type("F32"), shape,
                  [](const GgufWriter::Sink& sink) { sink(as_bytes(std::string(16, 'x'))); });
    writer.write(fmt::format("{}m-0000{}-of-00002.gguf", folder, part));
  }
  GgufFile first(folder + "m-00001-of-00002.gguf");
  EXPECT_EQ(load_gguf(first).tensors.size(), 2u);
  std::filesystem::rename(folder + "m-00001-of-00002.gguf", folder + "other.gguf");
  GgufFile renamed(folder + "other.gguf");
  EXPECT_THROW(load_gguf(renamed), Error);
  std::filesystem::remove_all(folder);
}

TEST(AtomicFile, LeavesNothingBehindUnlessCommitted) {
  const std::string path = testing::TempDir() + "atomic_test";
  {
    AtomicFile file(path);
    file.append(as_bytes("half"));
  }
  EXPECT_FALSE(file_exists(path));
  {
    AtomicFile file(path);
    file.append(as_bytes("who"));
    file.append(as_bytes("le"));
    file.commit();
  }
  EXPECT_EQ(read_file(path), "whole");
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace hearth::io
