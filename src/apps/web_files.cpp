#include "apps/web_files.h"

#include "apps/embedded.h"

namespace hearth::apps {

std::vector<transport::StaticFile> web_files() {
  std::vector<transport::StaticFile> files;
  for (const EmbeddedFile& file : embedded_web()) {
    const std::string path = "/" + std::string(file.path);
    files.push_back({path, transport::content_type_of(path), file.bytes});
  }
  return files;
}

}  // namespace hearth::apps
