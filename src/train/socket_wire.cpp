#include "train/socket_wire.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"

namespace hearth::train {
namespace {

constexpr uint64_t kHello = 0x48525448'57495245;  // "HRTHWIRE"
constexpr int kBufferBytes = 4 << 20;             // of each socket, each way
constexpr Nanos kLookEvery = kSecond;             // longest wait before deadlines are looked at

enum class Kind : uint64_t { kData, kFarewell };

}  // namespace

struct SocketWire::Header {
  uint64_t magic = kHello;
  Kind kind = Kind::kData;
  uint64_t sequence = 0;
  uint64_t bytes = 0;   // of the parcels behind it
  char text[480] = {};  // what it is about; of a farewell, why
};

// The two directions with one peer during one exchange.
class SocketWire::Transfer {
 public:
  Transfer(uint64_t sequence, std::string_view what) {
    sent_.sequence = sequence;
    std::copy_n(what.data(), std::min(what.size(), sizeof(sent_.text) - 1), sent_.text);
  }
  void add(const Outgoing& parcel) {
    if (parcel.bytes.empty()) return;
    out_.push_back(parcel.bytes);
    sent_.bytes += parcel.bytes.size();
  }
  void add(const Incoming& parcel) {
    if (parcel.bytes.empty()) return;
    in_.push_back(parcel.bytes);
    expected_ += parcel.bytes.size();
  }
  // The header goes first; called when all parcels are known and the object moves no more.
  void seal() {
    out_.insert(out_.begin(), std::as_bytes(std::span(&sent_, 1)));
    in_.insert(in_.begin(), std::as_writable_bytes(std::span(&came_, 1)));
  }
  bool sends() const { return out_at_ < out_.size(); }
  bool receives() const { return in_at_ < in_.size(); }
  bool between_messages() const { return out_at_ == out_.size() || (out_at_ == 0 && !out_done_); }
  const Header& came() const { return came_; }
  uint64_t expected() const { return expected_; }

  // Moves what can be moved now. False: the connection is closed.
  bool send_some(int socket) {
    while (sends()) {
      const std::span<const std::byte> rest = out_[out_at_].subspan(out_done_);
      const ssize_t n = ::send(socket, rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0) return would_block();
      out_done_ += static_cast<size_t>(n);
      if (static_cast<size_t>(n) < rest.size()) continue;
      ++out_at_;
      out_done_ = 0;
    }
    return true;
  }
  // Stops behind the header, so that it is judged before the parcels are believed.
  bool receive_some(int socket) {
    while (receives()) {
      const std::span<std::byte> rest = in_[in_at_].subspan(in_done_);
      const ssize_t n = ::recv(socket, rest.data(), rest.size(), MSG_DONTWAIT);
      if (n == 0) return false;
      if (n < 0) return would_block();
      heard = true;
      in_done_ += static_cast<size_t>(n);
      if (static_cast<size_t>(n) < rest.size()) continue;
      ++in_at_;
      in_done_ = 0;
      if (in_at_ == 1) return true;
    }
    return true;
  }
  bool header_came() const { return in_at_ > 0; }
  bool judged = false;  // its header was
  bool heard = false;   // bytes came since this was last set to false

 private:
  static bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

  Header sent_, came_;
  std::vector<std::span<const std::byte>> out_;
  std::vector<std::span<std::byte>> in_;
  uint64_t expected_ = 0;
  size_t out_at_ = 0, out_done_ = 0, in_at_ = 0, in_done_ = 0;
};

std::vector<std::vector<int>> make_socket_mesh(int size) {
  const auto ranks = static_cast<size_t>(size);
  std::vector<std::vector<int>> mesh(ranks, std::vector<int>(ranks, -1));
  for (size_t a = 0; a < ranks; ++a) {
    for (size_t b = a + 1; b < ranks; ++b) {
      int ends[2];
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        throw_error(ErrorCode::kIo, "ranks", "no socket between ranks {} and {}: {}", a, b,
                    std::strerror(errno));
      }
      mesh[a][b] = ends[0];
      mesh[b][a] = ends[1];
    }
  }
  return mesh;
}

SocketWire::SocketWire(int rank, std::vector<int> sockets, Nanos timeout, const Clock& clock)
    : rank_(rank), peers_(sockets.size()), timeout_(timeout), clock_(clock) {
  std::vector<RankName> names(sockets.size());
  names[static_cast<size_t>(rank)] = this_process();
  std::vector<Outgoing> out;
  std::vector<Incoming> in;
  for (int peer = 0; peer < size(); ++peer) {
    const auto at = static_cast<size_t>(peer);
    peers_[at] = {sockets[at], {}, clock.now(), "the start"};
    std::copy_n("?", 2, peers_[at].name.host);
    if (peer == rank) continue;
    for (int option : {SO_SNDBUF, SO_RCVBUF}) {
      ::setsockopt(sockets[at], SOL_SOCKET, option, &kBufferBytes, sizeof(kBufferBytes));
    }
    out.push_back({peer, std::as_bytes(std::span(&names[static_cast<size_t>(rank)], 1))});
    in.push_back({peer, std::as_writable_bytes(std::span(&names[at], 1))});
  }
  exchange(out, in, "the start");
  for (size_t peer = 0; peer < names.size(); ++peer) peers_[peer].name = names[peer];
}

SocketWire::~SocketWire() {
  for (const Peer& peer : peers_) {
    if (peer.socket >= 0) ::close(peer.socket);
  }
}

void SocketWire::exchange(std::span<const Outgoing> out, std::span<const Incoming> in,
                          std::string_view what) {
  ++sequence_;
  began_ = clock_.now();
  std::vector<Transfer> transfers(peers_.size(), Transfer(sequence_, what));
  for (const Outgoing& parcel : out) transfers[static_cast<size_t>(parcel.to)].add(parcel);
  for (const Incoming& parcel : in) transfers[static_cast<size_t>(parcel.from)].add(parcel);
  for (int peer = 0; peer < size(); ++peer) {
    if (peer != rank_) transfers[static_cast<size_t>(peer)].seal();
  }
  run(transfers, what);
}

void SocketWire::run(std::vector<Transfer>& transfers, std::string_view what) {
  for (bool waits = true; waits;) {
    waits = false;
    for (int peer = 0; peer < size(); ++peer) {
      if (peer == rank_) continue;
      Transfer& transfer = transfers[static_cast<size_t>(peer)];
      move_some(peer, transfers, what);
      if (transfer.header_came() && !transfer.judged) {
        judge(peer, transfer, what);
        move_some(peer, transfers, what);  // the parcels may lie behind it already
      }
      waits = waits || transfer.sends() || transfer.receives();
    }
    if (waits) wait_for_any(transfers, what);
  }
}

void SocketWire::move_some(int peer, std::vector<Transfer>& transfers, std::string_view what) {
  Transfer& transfer = transfers[static_cast<size_t>(peer)];
  Peer& p = peers_[static_cast<size_t>(peer)];
  const bool open = transfer.receive_some(p.socket) && transfer.send_some(p.socket);
  if (!open) {
    read_farewell(peer, transfer, what);
    fail(fmt::format("{} is gone: its connection closed while rank {} was at {}; last heard of in "
                     "{}",
                     describe(peer, p.name), rank_, what, p.where),
         transfers);
  }
  if (transfer.heard) p.heard = clock_.now();
  transfer.heard = false;
}

// A rank that left may have said why, behind what it sent before. All of it has arrived.
void SocketWire::read_farewell(int peer, Transfer& transfer, std::string_view what) {
  const int socket = peers_[static_cast<size_t>(peer)].socket;
  do {
    transfer.heard = false;
    transfer.receive_some(socket);
    if (transfer.header_came() && !transfer.judged) judge(peer, transfer, what);
  } while (transfer.heard && transfer.receives());
  Header header;
  if (transfer.receives() ||
      ::recv(socket, &header, sizeof(header), MSG_DONTWAIT) != sizeof(header)) {
    return;
  }
  if (header.magic == kHello && header.kind == Kind::kFarewell) {
    throw_error(ErrorCode::kUnavailable, "ranks", "{}", header.text);
  }
}

void SocketWire::judge(int peer, Transfer& transfer, std::string_view what) {
  transfer.judged = true;
  const Header& header = transfer.came();
  if (header.kind == Kind::kFarewell) {
    throw_error(ErrorCode::kUnavailable, "ranks", "{}", header.text);
  }
  CHECK(header.magic == kHello && header.sequence == sequence_ && what == header.text &&
            header.bytes == transfer.expected(),
        "rank {} is at '{}' with {} bytes, rank {} at '{}' expects {}", peer, header.text,
        header.bytes, rank_, what, transfer.expected());
  peers_[static_cast<size_t>(peer)].where = what;
}

void SocketWire::wait_for_any(std::vector<Transfer>& transfers, std::string_view what) {
  std::vector<pollfd> polls;
  for (size_t i = 0; i < transfers.size(); ++i) {
    const short events = static_cast<short>((transfers[i].sends() ? POLLOUT : 0) |
                                            (transfers[i].receives() ? POLLIN : 0));
    if (events != 0) polls.push_back({peers_[i].socket, events, 0});
  }
  if (polls.empty()) return;
  const Nanos longest = std::min(kLookEvery, timeout_);
  const int ready = ::poll(polls.data(), polls.size(), static_cast<int>(longest / kMillisecond));
  if (ready == 0) check_deadlines(transfers, what);
}

void SocketWire::check_deadlines(const std::vector<Transfer>& transfers, std::string_view what) {
  const Nanos now = clock_.now();
  std::string late;
  for (int i = 0; i < size(); ++i) {
    const Transfer& transfer = transfers[static_cast<size_t>(i)];
    const Peer& peer = peers_[static_cast<size_t>(i)];
    if (!transfer.sends() && !transfer.receives()) continue;
    if (now - std::max(began_, peer.heard) < timeout_) continue;
    late += fmt::format("{}{} has not arrived at {} for {} s; last heard of {} s ago in {}",
                        late.empty() ? "" : "; ", describe(i, peer.name), what,
                        (now - began_) / kSecond, (now - peer.heard) / kSecond, peer.where);
  }
  if (!late.empty()) fail(late, transfers);
}

void SocketWire::fail(const std::string& text, const std::vector<Transfer>& transfers) {
  Header header;
  header.kind = Kind::kFarewell;
  std::copy_n(text.data(), std::min(text.size(), sizeof(header.text) - 1), header.text);
  // In place of data, where no message is half sent and the connection takes it now.
  for (int peer = 0; peer < size(); ++peer) {
    if (peer == rank_ || !transfers[static_cast<size_t>(peer)].between_messages()) continue;
    ::send(peers_[static_cast<size_t>(peer)].socket, &header, sizeof(header),
           MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  throw_error(ErrorCode::kUnavailable, "ranks", "{}", text);
}

}  // namespace hearth::train
