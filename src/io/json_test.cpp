#include "io/json.h"

#include <gtest/gtest.h>
#include <string>

namespace hearth::io {
namespace {

std::string json_error(std::string_view text, const JsonLimits& limits = {}) {
  try {
    parse_json(text, "body", limits);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(ParseJson, SaysWhereItBroke) {
  EXPECT_EQ(json_error("{\"a\": 1,\n  oops}"), "body: not valid JSON at line 2, column 3");
  EXPECT_EQ(json_error("{\"a\": "), "body: not valid JSON at line 1, column 7 (it ends too early)");
}

TEST(ParseJson, BoundsDepthAndSize) {
  EXPECT_EQ(json_error(std::string(100000, '[')), "body: JSON is nested deeper than 128 levels");
  EXPECT_EQ(json_error("[\"[[[[[[\"]", {.depth_max = 1}), "no error");
  EXPECT_EQ(json_error("[1,2]", {.bytes_max = 4}), "body: JSON of 5 bytes is over the limit of 4");
}

TEST(ParseJson, RefusesANumberNoDoubleHolds) {
  EXPECT_EQ(json_error("[1e999]"), "body: a JSON number is too large for a double");
}

TEST(ParseJson, RefusesInvalidUtf8) { EXPECT_NE(json_error("[\"\xff\"]"), "no error"); }

TEST(JsonGet, NamesTheFieldOfTheWrongType) {
  const Json object = parse_json(R"({"n": "three", "none": null})", "config.json");
  EXPECT_EQ(json_get<int>(object, "none", 5, "config.json"), 5);
  EXPECT_EQ(json_get<int>(object, "absent", 6, "config.json"), 6);
  try {
    json_get<int>(object, "n", 0, "config.json");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "config.json: field 'n' has the wrong type (string)");
  }
}

}  // namespace
}  // namespace hearth::io
