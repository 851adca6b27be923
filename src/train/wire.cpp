#include "train/wire.h"

#include <fmt/format.h>
#include <unistd.h>

namespace hearth::train {

RankName this_process() {
  RankName name;
  name.pid = ::getpid();
  if (::gethostname(name.host, sizeof(name.host) - 1) != 0) name.host[0] = '?';
  return name;
}

std::string describe(int rank, const RankName& name) {
  return fmt::format("rank {} ({}, pid {})", rank, name.host, name.pid);
}

}  // namespace hearth::train
