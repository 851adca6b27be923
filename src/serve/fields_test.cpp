#include "serve/fields.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "io/json.h"

namespace hearth::serve {
namespace {

using io::Json;

// The field that an error names, or "" when there was none.
template <typename Read>
std::string wrong_field(Read&& read) {
  try {
    read();
  } catch (const Error& error) {
    return error.where;
  }
  return {};
}

TEST(Fields, AbsentAndNullAreTheSame) {
  const Json json = Json::parse(R"({"a":null})");
  const Fields fields(json);
  EXPECT_FALSE(fields.has("a"));
  EXPECT_FALSE(fields.number("a", 0, 1));
  EXPECT_FALSE(fields.string("b"));
  EXPECT_TRUE(fields.strings("b", 3).empty());
}

TEST(Fields, IntegersMayBeWrittenAsFloats) {
  const Json json = Json::parse(
      R"({"a":3.0,"b":3.5,"c":1e300,"d":18446744073709551615,"e":-9223372036854775808,"f":true})");
  const Fields fields(json, "outer");
  EXPECT_EQ(fields.integer("a", 0, 10), 3);
  EXPECT_EQ(fields.integer("e", INT64_MIN, INT64_MAX), INT64_MIN);
  for (const char* key : {"b", "c", "d", "f"}) {
    EXPECT_EQ(wrong_field([&] { fields.integer(key, INT64_MIN, INT64_MAX); }),
              std::string("outer.") + key);
  }
  EXPECT_EQ(wrong_field([&] { fields.integer("a", 0, 2); }), "outer.a");
}

TEST(Fields, WrongTypesAreNamed) {
  const Json json = Json::parse(R"({"a":1,"s":"x","l":["x",1],"o":{}})");
  const Fields fields(json);
  EXPECT_EQ(wrong_field([&] { fields.string("a"); }), "a");
  EXPECT_EQ(wrong_field([&] { fields.boolean("a"); }), "a");
  EXPECT_EQ(wrong_field([&] { fields.number("s", 0, 1); }), "s");
  EXPECT_EQ(wrong_field([&] { fields.strings("l", 4); }), "l");
  EXPECT_EQ(wrong_field([&] { fields.integers("l", 4); }), "l");
  EXPECT_EQ(wrong_field([&] { fields.array("o"); }), "o");
  EXPECT_EQ(wrong_field([&] { fields.object("l"); }), "l");
  EXPECT_EQ(wrong_field([&] { fields.choice("s", {"y", "z"}); }), "s");
  EXPECT_EQ(wrong_field([&] { fields.require_string("none"); }), "none");
  EXPECT_EQ(wrong_field([] { Fields(Json(3), "here"); }), "here");
}

}  // namespace
}  // namespace hearth::serve
