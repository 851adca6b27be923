#include "io/safetensors.h"

#include <cstring>
#include <gtest/gtest.h>
#include <string>

#include "base/error.h"

namespace hearth::io {
namespace {

std::string file_of(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string file(reinterpret_cast<const char*>(&length), 8);
  return file + header + std::string(data_bytes, 'x');
}

std::string error_of(const std::string& file) {
  try {
    parse_safetensors(as_bytes(file), "m.safetensors");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Safetensors, WhatIsBuiltIsRead) {
  const std::string a(24, 'a');
  const std::string b(6, 'b');
  const TensorToStore tensors[] = {{"first", "F32", {2, 3}, as_bytes(a)},
                                   {"second", "BF16", {3}, as_bytes(b)}};
  const std::string file = build_safetensors(tensors, {{"format", "pt"}});
  const TensorMap map = parse_safetensors(as_bytes(file), "m");
  ASSERT_EQ(map.size(), 2u);
  EXPECT_EQ(map.at("first").shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(std::memcmp(map.at("second").data.data(), b.data(), 6), 0);
}

TEST(Safetensors, RefusesEveryPrefixOfAFile) {
  const std::string a(24, 'a');
  const TensorToStore tensors[] = {{"t", "F32", {2, 3}, as_bytes(a)}};
  const std::string file = build_safetensors(tensors);
  for (size_t size = 0; size < file.size(); ++size) {
    ASSERT_NE(error_of(file.substr(0, size)), "no error") << size;
  }
  EXPECT_EQ(error_of(file + "!"), "m.safetensors: 1 bytes at the end belong to no tensor");
}

struct Case {
  const char* header;
  size_t data_bytes;
  const char* message;
};

TEST(Safetensors, NamesTheTensorAndTheFault) {
  const Case cases[] = {
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4,
       "tensor 't' lies at bytes 0 to 8 of 4"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8, "lies at bytes 8 to 0"},
      {R"({"t":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8,
       "tensor 't' needs 12 bytes for its shape and has 8"},
      {R"({"t":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}})", 8, "unknown dtype 'F33'"},
      {R"({"t":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8, "found -2"},
      {R"({"t":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}})", 8, "found 2.5"},
      {R"({"t":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})", 8,
       "larger than memory"},
      {R"({"t":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]}})", 8,
       "too large"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", 8, "must be two numbers"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615]}})", 8,
       "lies at bytes"},
      {R"({"t":{"dtype":"F32","data_offsets":[0,8]}})", 8, "no field 'shape'"},
      {R"({"t":{"shape":[2],"data_offsets":[0,8]}})", 8, "no field 'dtype'"},
      {R"({"t":3})", 0, "expected an object"},
      {R"([])", 0, "not an object"},
      {R"({"t")", 0, "not valid JSON"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
           "b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
       12, "tensors 'a' and 'b' overlap"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
           "b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
       12, "4 bytes before tensor 'b' belong to no tensor"},
      {R"({"t":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}})", 1, "does not fill whole bytes"},
      {R"({"t":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1,
       "at most 8 numbers"},
  };
  for (const Case& c : cases) {
    const std::string error = error_of(file_of(c.header, c.data_bytes));
    EXPECT_NE(error.find(c.message), std::string::npos) << c.header << "\n  gave: " << error;
    EXPECT_EQ(error.rfind("m.safetensors", 0), 0u) << error;
  }
}

TEST(Safetensors, RefusesAHostileHeaderLengthBeforeReadingIt) {
  std::string file(16, '\xff');
  EXPECT_NE(error_of(file).find("over the limit"), std::string::npos);
}

class Shards : public testing::Test {
 protected:
  std::string shard(const std::string& tensor) {
    static const std::string data(4, 'd');
    const TensorToStore tensors[] = {{tensor, "F32", {1}, as_bytes(data)}};
    return build_safetensors(tensors);
  }
  TensorMap load(const std::string& index) {
    MemoryFiles files("m", {{"model.safetensors.index.json", as_bytes(index)},
                            {"1.safetensors", as_bytes(one_)},
                            {"2.safetensors", as_bytes(two_)}});
    return load_safetensors(files);
  }
  std::string error_of_index(const std::string& index) {
    try {
      load(index);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  std::string one_ = shard("a");
  std::string two_ = shard("b");
};

TEST_F(Shards, AreReadThroughTheIndex) {
  EXPECT_EQ(load(R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})").size(), 2u);
}

TEST_F(Shards, NameWhatIsWrong) {
  EXPECT_EQ(error_of_index(R"({"weight_map":{"a":"1.safetensors","c":"2.safetensors"}})"),
            "m/model.safetensors.index.json: tensor 'c' is not in 2.safetensors; download the "
            "shards again");
  EXPECT_EQ(error_of_index(R"({"weight_map":{"a":"3.safetensors"}})"),
            "m/3.safetensors: no such file");
  EXPECT_NE(error_of_index(R"({"weight_map":{"a":"../x"}})").find("not the name of a file"),
            std::string::npos);
  EXPECT_NE(error_of_index("{}").find("weight_map"), std::string::npos);
  two_ = shard("a");
  EXPECT_EQ(error_of_index(R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})"),
            "m/2.safetensors: tensor 'a' is in m/1.safetensors as well");
}

TEST(LoadSafetensors, SaysWhatItLookedFor) {
  MemoryFiles files("m", {});
  try {
    load_safetensors(files);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code, ErrorCode::kNotFound);
    EXPECT_NE(error.text.find("model.safetensors.index.json"), std::string::npos);
  }
}

}  // namespace
}  // namespace hearth::io
