// Files over the API, and what of them is there after a restart.
#include <fstream>
#include <gtest/gtest.h>

#include "io/file.h"
#include "serve/files/line_reader.h"
#include "serve/service_client.h"
#include "serve/temp_folder.h"

namespace hearth::serve {
namespace {

namespace fs = std::filesystem;
using io::Json;

struct FileHouse {
  TempFolder folder;
  TestHouse house{[this] {
    ServerOptions options;
    options.data_dir = folder.path();
    options.services.file_bytes_max = 1 << 20;
    options.services.project_file_bytes_max = 3 << 20;
    options.api_keys = {hash_api_key("ann", "key-ann"), hash_api_key("bob", "key-bob")};
    options.admin_keys = {hash_api_key("admin", "key-admin")};
    return options;
  }()};
  ServiceClient ann{house, "key-ann"}, bob{house, "key-bob"}, admin{house, "key-admin"};
};

TEST(Files, AreUploadedListedReadAndDeleted) {
  FileHouse t;
  const auto response = t.ann.form(
      "/v1/files", {{"file", "one\r\ntwo\n", "C:\\data\\my file.jsonl"}, {"purpose", "batch", ""}});
  ASSERT_EQ(response.status, 200) << response.body;
  const Json file = io::parse_json(response.body, "");
  EXPECT_EQ(file["object"], "file");
  EXPECT_EQ(file["bytes"], 9);
  EXPECT_EQ(file["filename"], "my file.jsonl");
  EXPECT_EQ(file["purpose"], "batch");
  EXPECT_EQ(file["status"], "processed");
  const auto id = file["id"].get<std::string>();
  EXPECT_EQ(t.ann.content(id), "one\r\ntwo\n");
  EXPECT_EQ(t.ann.get("/v1/files/" + id)["id"], id);
  EXPECT_EQ(t.ann.get("/v1/files?purpose=batch")["data"].size(), 1u);
  EXPECT_EQ(t.ann.get("/v1/files?purpose=fine-tune")["data"].size(), 0u);
  const auto deleted = t.ann.send("DELETE", "/v1/files/" + id);
  EXPECT_EQ(deleted.status, 200);
  EXPECT_TRUE(io::parse_json(deleted.body, "")["deleted"].get<bool>());
  EXPECT_EQ(t.ann.send("GET", "/v1/files/" + id).status, 404);
  EXPECT_FALSE(io::file_exists(t.folder.path() + "/files/" + id));
}

TEST(Files, BelongToTheirTenant) {
  FileHouse t;
  const std::string id = t.ann.upload("batch", "x");
  for (const char* path : {"", "/content"}) {
    EXPECT_EQ(t.bob.send("GET", "/v1/files/" + id + path).status, 404);
  }
  EXPECT_EQ(t.bob.send("DELETE", "/v1/files/" + id).status, 404);
  EXPECT_EQ(t.bob.get("/v1/files")["data"].size(), 0u);
  EXPECT_EQ(t.bob.get("/v1/files?project_id=*")["data"].size(), 0u) << "a tenant's own, whatever";
  EXPECT_EQ(t.admin.get("/v1/files")["data"].size(), 0u);
  EXPECT_EQ(t.admin.get("/v1/files?project_id=*")["data"][0]["project_id"], "ann");
}

TEST(Files, WhatIsWrongIsNamed) {
  FileHouse t;
  const auto refused = [&](const std::vector<FormPart>& parts, const std::string& param) {
    const auto response = t.ann.form("/v1/files", parts);
    EXPECT_EQ(response.status, param == "too large" ? 413 : 400) << response.body;
    if (param != "too large") {
      EXPECT_EQ(io::parse_json(response.body, "")["error"]["param"], param);
    }
  };
  refused({{"purpose", "batch", ""}}, "file");
  refused({{"file", "x", "a"}}, "purpose");
  refused({{"file", "x", "a"}, {"purpose", "fun", ""}}, "purpose");
  refused({{"file", "x", "a"}, {"other", "x", "b"}, {"purpose", "batch", ""}}, "other");
  refused({{"file", "x", "a"}, {"file", "x", "b"}, {"purpose", "batch", ""}}, "file");
  refused({{"file", "x", "a"}, {"purpose", "batch", ""}, {"expires_after[seconds]", "9", ""}},
          "expires_after[seconds]");
  refused({{"file", std::string((1 << 20) + 1, 'x'), "a"}, {"purpose", "batch", ""}}, "too large");
  EXPECT_EQ(t.ann.send("POST", "/v1/files", {{"purpose", "batch"}}).status, 400) << "no form";
  EXPECT_TRUE(fs::is_empty(t.folder.path() + "/files")) << "nothing is left of any";
}

TEST(Files, AProjectHasSoMuchRoom) {
  FileHouse t;
  const std::string large(1 << 20, 'x');
  for (int i = 0; i < 3; ++i) t.ann.upload("batch", large);
  EXPECT_EQ(t.ann.form("/v1/files", {{"purpose", "batch", ""}, {"file", "x", "a"}}).status, 413);
  EXPECT_EQ(t.bob.form("/v1/files", {{"purpose", "batch", ""}, {"file", "x", "a"}}).status, 200);
}

TEST(Files, Expire) {
  FileHouse t;
  const auto response = t.ann.form("/v1/files", {{"purpose", "batch", ""},
                                                 {"expires_after[anchor]", "created_at", ""},
                                                 {"expires_after[seconds]", "3600", ""},
                                                 {"file", "x", "a"}});
  const Json file = io::parse_json(response.body, "");
  EXPECT_EQ(file["expires_at"].get<int64_t>(), file["created_at"].get<int64_t>() + 3600);
  const auto id = file["id"].get<std::string>();
  t.house.clock.advance(3599 * kSecond);
  EXPECT_EQ(t.ann.content(id), "x");
  t.house.clock.advance(2 * kSecond);
  EXPECT_EQ(t.ann.send("GET", "/v1/files/" + id).status, 404);
  t.house.service.tick();
  while (t.house.turn()) {
  }
  EXPECT_FALSE(io::file_exists(t.folder.path() + "/files/" + id));
}

TEST(Files, SurviveARestartAndLeftoversDoNot) {
  TempFolder folder;
  ServerOptions options;
  options.data_dir = folder.path();
  std::string id;
  {
    TestHouse house(options);
    id = ServiceClient(house).upload("fine-tune", "kept");
  }
  std::ofstream(folder.path() + "/files/file-nobody") << "from a process that was killed";
  std::ofstream(folder.path() + "/files/" + id + ".tmp.17") << "likewise";
  TestHouse house(options);
  EXPECT_EQ(ServiceClient(house).content(id), "kept");
  EXPECT_FALSE(io::file_exists(folder.path() + "/files/file-nobody"));
  EXPECT_FALSE(io::file_exists(folder.path() + "/files/" + id + ".tmp.17"));
}

TEST(Files, ALargeOneIsSentAsFastAsItIsTaken) {
  FileHouse t;
  std::string large;
  for (int i = 0; i < 30'000; ++i) large += fmt::format("{{\"line\": {}}}\n", i);
  EXPECT_EQ(t.ann.content(t.ann.upload("batch", large)), large);
}

TEST(LineReader, SaysWhereLinesStand) {
  TempFolder folder;
  const std::string path = folder.path() + "/x";
  std::ofstream(path) << "one\r\n\ntwo";
  LineReader lines(path, 10);
  ASSERT_TRUE(lines.next());
  EXPECT_EQ(lines.text(), "one");
  ASSERT_TRUE(lines.next());
  EXPECT_TRUE(lines.blank());
  ASSERT_TRUE(lines.next());
  EXPECT_EQ(lines.text(), "two");
  EXPECT_EQ(lines.number(), 3);
  EXPECT_EQ(lines.begin(), 6);
  EXPECT_EQ(read_part(path, 6, 3), "two");
  EXPECT_FALSE(lines.next());
  LineReader short_lines(path, 2);
  EXPECT_THROW(short_lines.next(), Error);
}

}  // namespace
}  // namespace hearth::serve
