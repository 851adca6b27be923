#include "transport/static_files.h"

#include <gtest/gtest.h>

namespace hearth::transport {
namespace {

StaticFiles page() {
  return StaticFiles({{"/index.html", content_type_of("/index.html"), "<p>hi</p>"},
                      {"/assets/a.js", content_type_of("/assets/a.js"), "let a;"}});
}

HttpRequest get(const std::string& path) {
  HttpRequest request;
  request.method = "GET";
  request.path = path;
  return request;
}

TEST(StaticFiles, AnswerWithTheirType) {
  const StaticFiles files = page();
  const auto script = files.answer(get("/assets/a.js"));
  ASSERT_TRUE(script);
  EXPECT_EQ(script->status, 200);
  EXPECT_EQ(script->body, "let a;");
  EXPECT_EQ(*script->headers.find("content-type"), "text/javascript; charset=utf-8");
  EXPECT_EQ(files.answer(get("/"))->body, "<p>hi</p>");
}

TEST(StaticFiles, AreNotSentTwice) {
  const StaticFiles files = page();
  HttpRequest again = get("/");
  again.headers.set("If-None-Match", *files.answer(again)->headers.find("etag"));
  EXPECT_EQ(files.answer(again)->status, 304);
  EXPECT_EQ(files.answer(again)->body, "");
  again.path = "/assets/a.js";
  EXPECT_EQ(files.answer(again)->status, 200) << "another file";
}

TEST(StaticFiles, NothingElseIsAnswered) {
  const StaticFiles files = page();
  EXPECT_FALSE(files.answer(get("/assets")));
  EXPECT_FALSE(files.answer(get("/assets/../index.html")));
  HttpRequest post = get("/");
  post.method = "POST";
  EXPECT_FALSE(files.answer(post));
  EXPECT_FALSE(StaticFiles({}).answer(get("/")));
}

// The page holds a key: it runs no script of others, and stands in no page of others.
TEST(StaticFiles, AreHeldToTheirOrigin) {
  const auto response = page().answer(get("/"));
  const std::string* policy = response->headers.find("content-security-policy");
  ASSERT_NE(policy, nullptr);
  EXPECT_NE(policy->find("default-src 'self'"), std::string::npos);
  EXPECT_NE(policy->find("frame-ancestors 'none'"), std::string::npos);
}

}  // namespace
}  // namespace hearth::transport
