// Bytes between the ranks of one training run: one operation, from which collectives are made.
//
// Three implementations: threads of one process (local_wire.h, for tests), processes of one machine
// over sockets (socket_wire.h), and Open MPI (mpi_wire.h). A wire is used by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::train {

// Who a rank is, for messages to people.
struct RankName {
  char host[64] = {};
  int64_t pid = 0;
};
RankName this_process();
// "rank 3 (host, pid 123)"
std::string describe(int rank, const RankName& name);

class Wire {
 public:
  struct Outgoing {
    int to = 0;
    std::span<const std::byte> bytes;
  };
  struct Incoming {
    int from = 0;
    std::span<std::byte> bytes;
  };

  virtual ~Wire() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // Sends and receives everything; of each pair of ranks, parcels match in the order given and in
  // size. All ranks call it with the same `what` ("step 12, gradients 3/7"). Throws Error
  // kUnavailable that names a rank which is gone, or which did not arrive in time.
  virtual void exchange(std::span<const Outgoing> out, std::span<const Incoming> in,
                        std::string_view what) = 0;
};

}  // namespace hearth::train
