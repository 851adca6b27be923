// For tests of the services: a client that sends JSON and forms with a key, and reads JSON.
#pragma once

#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "io/json.h"
#include "serve/test_house.h"

namespace hearth::serve {

struct FormPart {
  std::string name;
  std::string value;
  std::string filename;  // empty: a field
};

class ServiceClient {
 public:
  explicit ServiceClient(TestHouse& house, std::string key = {})
      : house_(house), key_(std::move(key)) {}

  transport::HttpResponse send(const std::string& method, const std::string& path,
                               const io::Json& body = nullptr) {
    return send(TestHouse::request(method, path, body.is_null() ? "" : io::dump_json(body)));
  }

  transport::HttpResponse form(const std::string& path, const std::vector<FormPart>& parts) {
    std::string body;
    for (const FormPart& part : parts) {
      body += "--edge\r\nContent-Disposition: form-data; name=\"" + part.name + "\"";
      if (!part.filename.empty()) body += "; filename=\"" + part.filename + "\"";
      body += "\r\n\r\n" + part.value + "\r\n";
    }
    auto request = TestHouse::request("POST", path, body + "--edge--\r\n");
    request.headers.set("Content-Type", "multipart/form-data; boundary=edge");
    return send(std::move(request));
  }

  // The answer, which has to be a 200.
  io::Json get(const std::string& path) { return ok(send("GET", path), path); }
  io::Json post(const std::string& path, const io::Json& body = nullptr) {
    return ok(send("POST", path, body), path);
  }

  // The id of a new file.
  std::string upload(const std::string& purpose, const std::string& bytes) {
    const io::Json file =
        ok(form("/v1/files", {{"purpose", purpose, ""}, {"file", bytes, "input.jsonl"}}), "upload");
    return file["id"].get<std::string>();
  }

  std::string content(const std::string& file_id) {
    const auto response = send("GET", "/v1/files/" + file_id + "/content");
    EXPECT_EQ(response.status, 200) << response.body;
    return response.body;
  }

 private:
  transport::HttpResponse send(transport::ClientRequest request) {
    if (!key_.empty()) request.headers.set("Authorization", "Bearer " + key_);
    return house_.client.send(request);
  }

  static io::Json ok(const transport::HttpResponse& response, const std::string& what) {
    EXPECT_EQ(response.status, 200) << what << ": " << response.body;
    return io::parse_json(response.body, what);
  }

  TestHouse& house_;
  const std::string key_;
};

}  // namespace hearth::serve
