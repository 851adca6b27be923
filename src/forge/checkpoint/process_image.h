// What Hearth adds to CRIU's files in an image of processes, and what it does to other files when
// the processes go back to an earlier moment.
#pragma once

#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace hearth::forge {

// A regular file that was open for writing, and its size then.
struct WrittenFile {
  std::string path;
  int64_t size = 0;
};

struct ImageFacts {
  int64_t output_pipe = 0;  // inodes of what leads to the keeper
  int64_t status_pipe = 0;
  std::vector<WrittenFile> written;
  std::vector<int32_t> gpu_users;  // by their numbers inside (cuda.h); they wait for their GPUs
};

// From CRIU's list of open files (files.img), those without a name any more included. Throws
// Error(kDataLoss) when it is none.
std::vector<WrittenFile> written_files(std::string_view files_image);

void write_facts(const std::string& folder, const ImageFacts& facts);
ImageFacts read_facts(const std::string& folder);

// What was written after the image was made is cut off: it will be written again. Throws
// Error(kDataLoss) when a file is missing or shorter than it was.
void rewind_files(const ImageFacts& facts);

// A folder of this name for an image on its way: in memory where there is room for `bytes` and as
// much again, else in `elsewhere`. Empty when it returns.
std::string make_scratch(const std::string& name, int64_t bytes, const std::string& elsewhere);
void remove_scratch(const std::string& name, const std::string& elsewhere);
// The files of a folder and the folder, and nothing below: what somebody has mounted there stays.
void remove_flat(const std::string& folder);

}  // namespace hearth::forge
