// Lets CRIU 3.17, as Debian 12 ships it, start on kernels that are newer than it. Preloaded into
// the criu process and into nothing else.
//
//   since 6.13  the pages behind the vDSO are two mappings, [vvar] and [vvar_vclock]: CRIU knows
//   one and refuses to start. Where it
//               reads a list of mappings it finds them as one.
//   since 6.16  SO_PASSSEC and SO_PASSCRED may not be asked of a TCP socket: CRIU gives the dump
//   up. It is told that they are off.
//
// No C++ library is linked: the program that this is loaded into has none.
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

constexpr char kClock[] = "[vvar_vclock]";
constexpr char kData[] = "[vvar]";

bool ends_with(const char* text, size_t length, const char* end) {
  const size_t size = std::strlen(end);
  return length >= size && std::memcmp(text + length - size, end, size) == 0;
}

bool is_list_of_mappings(const char* path) {
  const size_t length = std::strlen(path);
  return ends_with(path, length, "maps");  // also smaps
}

// "START-END rwxp ...": a mapping; anything else in smaps tells more of the one before.
bool begins_mapping(const char* line, size_t length) {
  const char* space = static_cast<const char*>(std::memchr(line, ' ', length));
  return space && std::memchr(line, '-', static_cast<size_t>(space - line));
}

struct Text {
  char* bytes = nullptr;
  size_t size = 0;
};

Text read_all(int fd) {
  Text text;
  for (size_t room = 0;;) {
    if (text.size == room) {
      room = room == 0 ? 65536 : room * 2;
      char* more = static_cast<char*>(std::realloc(text.bytes, room));
      if (!more) break;
      text.bytes = more;
    }
    const ssize_t n = read(fd, text.bytes + text.size, room - text.size);
    if (n <= 0) break;
    text.size += static_cast<size_t>(n);
  }
  return text;
}

void write_all(int fd, const char* bytes, size_t size) {
  while (size > 0) {
    const ssize_t n = write(fd, bytes, size);
    if (n <= 0) return;
    bytes += n, size -= static_cast<size_t>(n);
  }
}

const char* line_end(const char* at, const char* end) {
  const void* newline = std::memchr(at, '\n', static_cast<size_t>(end - at));
  return newline ? static_cast<const char*>(newline) + 1 : end;
}

// The end address of the clock's mapping takes the place of the data's: both are written with as
// many digits.
void join_mappings(Text text) {
  char* data_end = nullptr;
  const char* end = text.bytes + text.size;
  for (char* at = text.bytes; at < end;) {
    const char* next = line_end(at, end);
    const auto length = static_cast<size_t>(next - at) - (next[-1] == '\n');
    char* dash = static_cast<char*>(std::memchr(at, '-', length));
    if (begins_mapping(at, length) && ends_with(at, length, kData)) data_end = dash + 1;
    if (begins_mapping(at, length) && ends_with(at, length, kClock) && data_end)
      std::memcpy(data_end, dash + 1, std::strcspn(dash + 1, " "));
    at += next - at;
  }
}

void write_without_clock(Text text, int out) {
  bool dropped = false;
  const char* end = text.bytes + text.size;
  for (const char* at = text.bytes; at < end;) {
    const char* next = line_end(at, end);
    const auto length = static_cast<size_t>(next - at);
    if (begins_mapping(at, length)) dropped = ends_with(at, length - (next[-1] == '\n'), kClock);
    if (!dropped) write_all(out, at, length);
    at = next;
  }
}

int with_one_vvar(int fd) {
  const int joined = static_cast<int>(syscall(SYS_memfd_create, "maps", MFD_CLOEXEC));
  if (joined < 0) return fd;
  const Text text = read_all(fd);
  join_mappings(text);
  write_without_clock(text, joined);
  std::free(text.bytes);
  lseek(joined, 0, SEEK_SET);
  close(fd);
  return joined;
}

int open_file(int folder, const char* path, int flags, mode_t mode) {
  const int fd = static_cast<int>(syscall(SYS_openat, folder, path, flags, mode));
  return fd >= 0 && is_list_of_mappings(path) ? with_one_vvar(fd) : fd;
}

mode_t mode_of(int flags, va_list arguments) {
  const bool creates = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
  return creates ? static_cast<mode_t>(va_arg(arguments, int)) : 0;
}

}  // namespace

#define HEARTH_OPEN(name)                          \
  int name(const char* path, int flags, ...) {     \
    va_list arguments;                             \
    va_start(arguments, flags);                    \
    const mode_t mode = mode_of(flags, arguments); \
    va_end(arguments);                             \
    return open_file(AT_FDCWD, path, flags, mode); \
  }
#define HEARTH_OPENAT(name)                                \
  int name(int folder, const char* path, int flags, ...) { \
    va_list arguments;                                     \
    va_start(arguments, flags);                            \
    const mode_t mode = mode_of(flags, arguments);         \
    va_end(arguments);                                     \
    return open_file(folder, path, flags, mode);           \
  }

extern "C" {

HEARTH_OPEN(open)
HEARTH_OPEN(open64)
HEARTH_OPENAT(openat)
HEARTH_OPENAT(openat64)

int getsockopt(int socket, int level, int option, void* value, socklen_t* size) noexcept {
  const long result = syscall(SYS_getsockopt, socket, level, option, value, size);
  const bool asked = level == SOL_SOCKET && (option == SO_PASSSEC || option == SO_PASSCRED);
  if (result < 0 && errno == EOPNOTSUPP && asked && *size >= sizeof(int)) {
    std::memset(value, 0, *size);
    return 0;
  }
  return static_cast<int>(result);
}

}  // extern "C"
