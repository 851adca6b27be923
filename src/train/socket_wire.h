// Ranks that are processes, each connected to each by a stream socket.
//
// A message is a header and its parcels. A rank that closes its connection is named at once, one
// that stays silent after `timeout`; whoever finds out tells the others why before it leaves.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "train/wire.h"

namespace hearth::train {

// Every pair of ranks connected: mesh[a][b] is a's end of the connection to b, -1 where a == b.
// Made before the ranks are forked; each keeps its row.
std::vector<std::vector<int>> make_socket_mesh(int size);

class SocketWire final : public Wire {
 public:
  // `sockets`: one for each rank, -1 for this one; closed by the destructor. Returns when all ranks
  // said who they are.
  SocketWire(int rank, std::vector<int> sockets, Nanos timeout, const Clock& clock);
  ~SocketWire() override;
  SocketWire(const SocketWire&) = delete;
  SocketWire& operator=(const SocketWire&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(peers_.size()); }
  void exchange(std::span<const Outgoing> out, std::span<const Incoming> in,
                std::string_view what) override;

 private:
  struct Header;
  struct Peer {
    int socket = -1;
    RankName name;
    Nanos heard = 0;    // when its last byte came
    std::string where;  // what it was last heard in
  };
  class Transfer;

  void run(std::vector<Transfer>& transfers, std::string_view what);
  void wait_for_any(std::vector<Transfer>& transfers, std::string_view what);
  void move_some(int peer, std::vector<Transfer>& transfers, std::string_view what);
  void read_farewell(int peer, Transfer& transfer, std::string_view what);
  void judge(int peer, Transfer& transfer, std::string_view what);
  void check_deadlines(const std::vector<Transfer>& transfers, std::string_view what);
  // Tells the others why before it throws.
  [[noreturn]] void fail(const std::string& text, const std::vector<Transfer>& transfers);

  int rank_;
  std::vector<Peer> peers_;
  Nanos timeout_;
  const Clock& clock_;
  uint64_t sequence_ = 0;
  Nanos began_ = 0;  // of the current exchange
};

}  // namespace hearth::train
