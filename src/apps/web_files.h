// The web page inside the program, as a server hands it out.
#pragma once

#include <vector>

#include "transport/static_files.h"

namespace hearth::apps {

std::vector<transport::StaticFile> web_files();

}  // namespace hearth::apps
