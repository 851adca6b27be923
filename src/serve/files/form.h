// A multipart/form-data request: fields in memory, files written where the caller says.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "io/file.h"

namespace hearth::serve {

class Reply;

struct FormFile {
  std::string filename;  // as the client calls it, without folders
  std::unique_ptr<io::AtomicFile> file;
};

struct Form {
  std::map<std::string, std::string> fields;
  std::map<std::string, FormFile> files;

  // Throws Error{kInvalidArgument} naming the field.
  const std::string& require(const std::string& name) const;
  FormFile& require_file(const std::string& name);
};

struct FormRules {
  // Where the bytes of the file in a field go. Throws where there should be no such file.
  std::function<std::string(const std::string& field)> path_of{};
  // Of one file; more is Error{kTooLarge}.
  uint64_t file_bytes_max = 0;
};

// Reads the body of a request. Throws Error saying what is wrong with it.
Form read_form(Reply& reply, const FormRules& rules);

}  // namespace hearth::serve
