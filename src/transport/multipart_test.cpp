#include "transport/multipart.h"

#include <gtest/gtest.h>
#include <vector>

#include "base/error.h"

namespace hearth::transport {
namespace {

class Collected final : public MultipartSink {
 public:
  struct Part {
    MultipartPart head;
    std::string bytes;
    bool ended = false;
  };
  void on_part(const MultipartPart& part) override { parts.push_back({part, {}, false}); }
  void on_bytes(std::string_view bytes) override { parts.back().bytes += bytes; }
  void on_part_end() override { parts.back().ended = true; }
  std::vector<Part> parts;
};

std::vector<Collected::Part> parse(const std::string& body, size_t piece = 1'000'000,
                                   const MultipartLimits& limits = {}) {
  Collected sink;
  MultipartParser parser("XyZ", limits, sink);
  for (size_t i = 0; i < body.size(); i += piece) parser.feed(body.substr(i, piece));
  parser.finish();
  return sink.parts;
}

const std::string kForm =
    "--XyZ\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n"
    "--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\".jsonl\"\r\n"
    "Content-Type: application/x-ndjson\r\n\r\n{\"a\":1}\r\n--Xy\r\n-\r\n\r\n"
    "--XyZ--\r\n";

TEST(Multipart, FieldsAndFilesHoweverTheBytesCome) {
  for (const size_t piece : {1ul, 2ul, 3ul, 7ul, 1000ul}) {
    const auto parts = parse(kForm, piece);
    ASSERT_EQ(parts.size(), 2u) << piece;
    EXPECT_EQ(parts[0].head.name, "purpose");
    EXPECT_FALSE(parts[0].head.filename);
    EXPECT_EQ(parts[0].bytes, "batch");
    EXPECT_EQ(parts[1].head.filename, "a \"b\".jsonl");
    EXPECT_EQ(parts[1].head.content_type, "application/x-ndjson");
    EXPECT_EQ(parts[1].bytes, "{\"a\":1}\r\n--Xy\r\n-\r\n");
    EXPECT_TRUE(parts[1].ended);
  }
}

TEST(Multipart, APreambleAnEmptyPartAndAnEpilogue) {
  const auto parts = parse(
      "hello\r\n--XyZ \r\ncontent-disposition: FORM-DATA; name=x\r\n\r\n\r\n--XyZ--\r\nbye --XyZ");
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].head.name, "x");
  EXPECT_EQ(parts[0].bytes, "");
  EXPECT_TRUE(parts[0].ended);
}

TEST(Multipart, WhatIsNoneIsRefused) {
  const std::string field = "--XyZ\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nv\r\n";
  EXPECT_THROW(parse(""), Error);
  EXPECT_THROW(parse(field), Error) << "cut";
  EXPECT_THROW(parse("--XyZ\r\nContent-Type: text/plain\r\n\r\nv\r\n--XyZ--"), Error) << "no name";
  EXPECT_THROW(parse("--XyZ\r\nnonsense\r\n\r\nv\r\n--XyZ--"), Error);
  EXPECT_THROW(parse("--XyZoo\r\n\r\nv\r\n--XyZ--"), Error);
  EXPECT_THROW(parse("--XyZ\r\n" + std::string(9000, 'a')), Error) << "a long head";
  EXPECT_THROW(parse(field + field + field + "--XyZ--", 1000, {.parts_max = 2}), Error);
  EXPECT_NO_THROW(parse(field + field + "--XyZ--", 1000, {.parts_max = 2}));
}

TEST(Multipart, TheBoundaryStandsInTheContentType) {
  EXPECT_EQ(multipart_boundary("multipart/form-data; boundary=abc"), "abc");
  EXPECT_EQ(multipart_boundary("Multipart/Form-Data; charset=x; Boundary=\"a;b\""), "a;b");
  EXPECT_FALSE(multipart_boundary("application/json"));
  EXPECT_FALSE(multipart_boundary("multipart/form-data"));
  EXPECT_FALSE(multipart_boundary("multipart/form-data; boundary="));
  EXPECT_FALSE(multipart_boundary("multipart/form-data; boundary=" + std::string(71, 'a')));
}

}  // namespace
}  // namespace hearth::transport
