#include "forge/checkpoint/process_image.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "forge/codec/binary.h"
#include "io/file.h"

namespace hearth::forge {

template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, WrittenFile>
void fields(A& a, T& v) { a(v.path, v.size); }
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, ImageFacts>
void fields(A& a, T& v) { a(v.output_pipe, v.status_pipe, v.written, v.gpu_users); }

namespace {

namespace fs = std::filesystem;

constexpr const char* kFacts = "hearth";
constexpr const char* kMemory = "/dev/shm";
constexpr size_t kMagicBytes = 8;  // two magic numbers
constexpr uint32_t kFilesMagic = 0x56303138;

[[noreturn]] void no_list() {
  throw_error(ErrorCode::kDataLoss, "files.img", "is no list of open files as CRIU writes it");
}

// The wire format of protocol buffers, as far as a list of files needs it: numbers and bytes.
class Fields {
 public:
  explicit Fields(std::string_view all) : rest_(all) {}

  // The next field; false: there is none.
  bool next() {
    if (rest_.empty()) return false;
    const uint64_t key = varint();
    number = key >> 3;
    switch (key & 7) {
      case 0:
        value = varint();
        break;
      case 1:
        value = 0, take(8);
        break;
      case 2:
        bytes = take(varint());
        break;
      case 5:
        value = 0, take(4);
        break;
      default:
        no_list();
    }
    return true;
  }

  uint64_t number = 0;
  uint64_t value = 0;
  std::string_view bytes;

 private:
  uint64_t varint() {
    uint64_t out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1)[0]);
      out |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return out;
    }
    no_list();
  }
  std::string_view take(uint64_t size) {
    if (size > rest_.size()) no_list();
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }

  std::string_view rest_;
};

uint32_t word_at(std::string_view bytes, size_t at) {
  uint32_t out = 0;
  if (bytes.size() - at < sizeof out) no_list();
  std::memcpy(&out, bytes.data() + at, sizeof out);
  return out;
}

// The numbers are those of CRIU's reg_file_entry. Of a file that is only appended to it keeps no
// size; the position is where this writer's last words ended.
void add_regular(std::string_view entry, std::vector<WrittenFile>& out) {
  WrittenFile file;
  uint64_t flags = 0, mode = 0;
  int64_t position = 0, size = -1;
  for (Fields field(entry); field.next();) {
    if (field.number == 2) flags = field.value;
    if (field.number == 3) position = static_cast<int64_t>(field.value);
    if (field.number == 6) file.path = field.bytes;
    if (field.number == 8) size = static_cast<int64_t>(field.value);
    if (field.number == 10) mode = field.value;
  }
  if (!S_ISREG(mode) || (flags & O_ACCMODE) == O_RDONLY) return;
  file.size = size >= 0 ? size : position;
  for (WrittenFile& known : out) {
    if (known.path != file.path) continue;
    known.size = std::max(known.size, file.size);
    return;
  }
  out.push_back(std::move(file));
}

int64_t available_memory() {
  std::ifstream in("/proc/meminfo");
  for (std::string name, unit; in >> name;) {
    int64_t kib = 0;
    in >> kib;
    if (name == "MemAvailable:") return kib << 10;
    std::getline(in, unit);
  }
  return 0;
}

}  // namespace

std::vector<WrittenFile> written_files(std::string_view image) {
  if (image.size() < kMagicBytes || word_at(image, 4) != kFilesMagic) no_list();
  std::vector<WrittenFile> out;
  for (size_t at = kMagicBytes; at < image.size();) {
    const size_t size = word_at(image, at);
    at += sizeof(uint32_t);
    if (size > image.size() - at) no_list();
    for (Fields field(image.substr(at, size)); field.next();) {
      if (field.number == 3) add_regular(field.bytes, out);
    }
    at += size;
  }
  return out;
}

void write_facts(const std::string& folder, const ImageFacts& facts) {
  codec::Writer out;
  out.put(facts);
  std::ofstream(folder + "/" + kFacts, std::ios::binary) << out.bytes();
}

ImageFacts read_facts(const std::string& folder) {
  ImageFacts out;
  const std::string bytes = io::read_file(folder + "/" + kFacts);
  codec::Reader(bytes).get(out);
  return out;
}

void rewind_files(const ImageFacts& facts) {
  for (const WrittenFile& file : facts.written) {
    struct stat now {};
    if (stat(file.path.c_str(), &now) != 0 || now.st_size < file.size) {
      throw_error(ErrorCode::kDataLoss, file.path,
                  "the job had it open with {} bytes, and it is not there any more", file.size);
    }
    if (now.st_size > file.size && truncate(file.path.c_str(), file.size) != 0)
      throw_error(ErrorCode::kIo, file.path, "cannot be cut: {}", std::strerror(errno));
  }
}

std::string make_scratch(const std::string& name, int64_t bytes, const std::string& elsewhere) {
  const bool room = available_memory() > 2 * bytes + (int64_t{256} << 20);
  const std::string path = fmt::format("{}/{}", room ? kMemory : elsewhere.c_str(), name);
  remove_scratch(name, elsewhere);
  std::error_code failed;
  fs::create_directories(path, failed);
  if (failed) throw_error(ErrorCode::kIo, path, "cannot be made: {}", failed.message());
  fs::permissions(path, fs::perms::owner_all, failed);
  return path;
}

void remove_scratch(const std::string& name, const std::string& elsewhere) {
  remove_flat(fmt::format("{}/{}", kMemory, name));
  remove_flat(fmt::format("{}/{}", elsewhere, name));
}

void remove_flat(const std::string& folder) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    if (!entry.is_directory(ignored)) fs::remove(entry.path(), ignored);
  }
  fs::remove(folder, ignored);
}

}  // namespace hearth::forge
