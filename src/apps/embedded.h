// Files that are part of the program: the model that `hearth serve` starts without an argument, and
// the web page. Built by cmake/embed.cmake; read-only, alive as long as the process.
#pragma once

#include <span>
#include <string_view>

namespace hearth {

struct EmbeddedFile {
  std::string_view path;  // relative, such as "config.json"
  std::string_view bytes;
};

std::span<const EmbeddedFile> embedded_model();
std::span<const EmbeddedFile> embedded_web();

}  // namespace hearth
