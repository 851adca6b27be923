// Finds the files of a model that somebody named on the command line.
#pragma once

#include <memory>
#include <string>

#include "io/file_source.h"

namespace hearth::apps {

struct ModelSource {
  std::string name;  // how the API calls it, unless --name says otherwise
  std::string path;  // its folder or file; empty for the one inside the program
  std::unique_ptr<io::FileSource> files;
};

// Where Hearth keeps its state: $HEARTH_DATA_DIR, else hearth/ in the user's data folder.
std::string default_data_dir();
// Makes the folder if it is not there. Throws Error{kIo} naming --data-dir.
void make_data_dir(const std::string& data_dir);

// A GGUF file, or a folder with a config.json or one GGUF file; else such a thing under
// DATA_DIR/models (a file with or without its ".gguf"); "" and "ember" are the model inside the
// program. Throws Error{kNotFound} saying where was looked.
ModelSource find_model(const std::string& argument, const std::string& data_dir);

}  // namespace hearth::apps
