#include "serve/api_keys.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace hearth::serve {
namespace {

TEST(ApiKeys, AreFoundByWhatTheyHashTo) {
  const std::string secret = make_api_key();
  EXPECT_EQ(secret.size(), 50u);
  EXPECT_NE(secret, make_api_key());
  const ApiKey ann = hash_api_key("ann", secret);
  const ApiKey bob = hash_api_key("bob", "other");
  EXPECT_EQ(ann.hash.find(secret), std::string::npos);
  const std::string file = "# keys\n\n" + to_line(ann) + to_line(bob) + "# end";
  const auto keys = parse_key_file(file, "keys");
  ASSERT_EQ(keys.size(), 2u);
  const auto found = find_tenant(keys, secret);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "ann");
  EXPECT_NE(found->cache_salt, find_tenant(keys, "other")->cache_salt);
  EXPECT_FALSE(find_tenant(keys, "wrong"));
  EXPECT_FALSE(find_tenant(keys, ""));
}

TEST(ApiKeys, ABadLineIsNamed) {
  for (const char* line : {"ann", "ann:zz:zz", ":00:00", "a:b"}) {
    try {
      parse_key_file(std::string("# one\n") + line, "keys.txt");
      FAIL() << line;
    } catch (const Error& error) {
      EXPECT_EQ(error.where, "keys.txt");
      EXPECT_NE(error.text.find("line 2"), std::string::npos) << error.text;
    }
  }
}

}  // namespace
}  // namespace hearth::serve
