#include "transport/static_files.h"

#include <fmt/format.h>

namespace hearth::transport {
namespace {

// The page holds keys that may do much: scripts come from here alone, and no other page frames it.
constexpr const char* kPolicy =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

uint64_t fnv(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

}  // namespace

std::string content_type_of(std::string_view path) {
  static constexpr std::pair<std::string_view, const char*> kTypes[] = {
      {".html", "text/html; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".json", "application/json"},
      {".svg", "image/svg+xml"},
      {".png", "image/png"},
      {".ico", "image/x-icon"},
      {".woff2", "font/woff2"},
      {".webmanifest", "application/manifest+json"},
      {".txt", "text/plain; charset=utf-8"},
  };
  for (const auto& [ending, type] : kTypes) {
    if (path.ends_with(ending)) return type;
  }
  return "application/octet-stream";
}

StaticFiles::StaticFiles(std::vector<StaticFile> files) {
  for (StaticFile& file : files) {
    std::string etag = fmt::format("\"{:016x}\"", fnv(file.bytes));
    entries_.push_back({std::move(file), std::move(etag)});
  }
}

const StaticFiles::Entry* StaticFiles::find(std::string_view path) const {
  if (path == "/") path = "/index.html";
  for (const Entry& entry : entries_) {
    if (entry.file.path == path) return &entry;
  }
  return nullptr;
}

std::optional<HttpResponse> StaticFiles::answer(const HttpRequest& request) const {
  if (request.method != "GET" && request.method != "HEAD") return std::nullopt;
  const Entry* entry = find(request.path);
  if (!entry) return std::nullopt;
  HttpResponse response{200,
                        {{"Content-Type", entry->file.content_type},
                         {"ETag", entry->etag},
                         {"Cache-Control", "no-cache"},
                         {"Content-Security-Policy", kPolicy},
                         {"X-Content-Type-Options", "nosniff"}},
                        {}};
  const std::string* known = request.headers.find("if-none-match");
  if (known && *known == entry->etag) {
    response.status = 304;
  } else {
    response.body = entry->file.bytes;
  }
  return response;
}

}  // namespace hearth::transport
