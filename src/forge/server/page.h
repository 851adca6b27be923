// What a Forge server shows to those who come with a browser.
#pragma once

#include <string>
#include <vector>

#include "transport/static_files.h"

namespace hearth::forge {

struct ServerPage {
  std::vector<transport::StaticFile> files;
  std::string version = "0.0.0";  // of the program
};

}  // namespace hearth::forge
