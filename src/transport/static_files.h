// Files that are part of the program, such as a web page, as answers to requests. Immutable: any
// thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "transport/http.h"

namespace hearth::transport {

// Its bytes live as long as whoever serves it.
struct StaticFile {
  std::string path;  // "/assets/app.js"; "/index.html" also answers "/"
  std::string content_type;
  std::string_view bytes;
};

// The content type for a file name.
std::string content_type_of(std::string_view path);

class StaticFiles {
 public:
  explicit StaticFiles(std::vector<StaticFile> files);

  bool has(std::string_view path) const { return find(path) != nullptr; }
  // The file for a GET or HEAD, or 304 where the client has it already. Nothing: there is none.
  std::optional<HttpResponse> answer(const HttpRequest& request) const;

 private:
  struct Entry {
    StaticFile file;
    std::string etag;
  };

  const Entry* find(std::string_view path) const;

  std::vector<Entry> entries_;
};

}  // namespace hearth::transport
