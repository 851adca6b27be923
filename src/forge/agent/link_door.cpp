#include "forge/agent/link_door.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sstream>

#include "base/error.h"
#include "io/file.h"

namespace hearth::forge {

using transport::ClientRequest;
using transport::HttpClient;
using transport::HttpResponse;

namespace {

constexpr int64_t kTransferMax = int64_t{4} << 20;
constexpr int64_t kFirstTransfer = int64_t{256} << 10;
constexpr Nanos kShortTransfer = 250 * kMillisecond;    // which is followed by the large one
constexpr Nanos kBetweenTransfers = 20 * kMillisecond;  // at a door, whoever comes
constexpr Nanos kEnoughOfOne = 2 * kSecond;
constexpr Nanos kEnoughTries = kSecond;  // no further one after that
constexpr int64_t kPatienceMs = 3'000;
constexpr int kWords = 8;
constexpr int kTries = 3;
constexpr int kVisitorsMax = 8;

std::string written(const Traffic& seen) { return fmt::format("{} {}", seen.in, seen.out); }

std::optional<Traffic> read_traffic(const std::string& text) {
  Traffic out;
  std::istringstream in(text);
  if (!(in >> out.in >> out.out)) return std::nullopt;
  return out;
}

int64_t bytes_asked(const transport::HttpRequest& request) {
  const std::string text = transport::query_value(request.query, "bytes").value_or("");
  int64_t bytes = 0;
  std::from_chars(text.data(), text.data() + text.size(), bytes);
  return std::clamp<int64_t>(bytes, 0, kTransferMax);
}

double gb_s(int64_t bytes, Nanos took) {
  return static_cast<double>(bytes) / static_cast<double>(std::max<Nanos>(took, 1));
}

// One visit to a door: its requests go over one connection.
class Visitor {
 public:
  Visitor(const LinkPeer& peer, const Clock& clock)
      : peer_(peer), clock_(clock), http_(transport::make_http_client()) {}

  // Throws Error(kIo).
  LinkVisit visit() {
    LinkSpeed speed;
    if (const auto refused = talk(speed)) return *refused;
    const Nanos until = clock_.now() + kEnoughTries;
    for (int tried = 0; tried < kTries && clock_.now() < until; ++tried) {
      busy_ = 0;
      double slower = 0;
      if (const auto refused = both_ways(slower)) {
        if (tried == 0) return *refused;
        break;
      }
      speed.gb_s = std::max(speed.gb_s, slower);
      speed.busy_gb_s = std::max({speed.busy_gb_s, speed.gb_s, busy_});
    }
    return {LinkEnd::kMeasured, speed, {}};
  }

 private:
  ClientRequest request(const char* method, const std::string& target) const {
    return {.method = method,
            .url = peer_.url + target,
            .headers = {{"Authorization", "Bearer " + peer_.key}},
            .body = {},
            .connect_timeout_ms = kPatienceMs,
            .silence_timeout_ms = kPatienceMs};
  }

  std::optional<LinkVisit> refusal(int status) const {
    if (status < 300) return std::nullopt;
    const LinkEnd end = status == 503 ? LinkEnd::kBusy : LinkEnd::kClosed;
    return LinkVisit{end, {}, fmt::format("{} answers {}", peer_.name, status)};
  }

  std::optional<LinkVisit> talk(LinkSpeed& speed) {
    for (int word = 0; word < kWords; ++word) {
      const Nanos begun = clock_.now();
      const HttpResponse answer = http_->send(request("GET", "/link"));
      if (auto refused = refusal(answer.status)) return refused;
      const double took = static_cast<double>(clock_.now() - begun) / kMillisecond;
      // The first one has the connection to make.
      if (word == 1 || (word > 1 && took < speed.round_trip_ms)) speed.round_trip_ms = took;
    }
    return std::nullopt;
  }

  std::optional<LinkVisit> both_ways(double& slower) {
    double in = 0, out = 0;
    for (const int64_t bytes : {kFirstTransfer, kTransferMax}) {
      const Nanos begun = clock_.now();
      if (auto refused = transfer(bytes, &Visitor::fetch, &Traffic::in, &Traffic::out, in))
        return refused;
      if (auto refused = transfer(bytes, &Visitor::bring, &Traffic::out, &Traffic::in, out))
        return refused;
      if (clock_.now() - begun > kShortTransfer) break;
    }
    slower = std::min(in, out);
    return std::nullopt;
  }

  using Way = int64_t (Visitor::*)(int64_t bytes, int& status);
  using Direction = int64_t Traffic::*;

  // `here`, `there`: the direction of these bytes in the counters of both machines.
  std::optional<LinkVisit> transfer(int64_t bytes, Way way, Direction here, Direction there,
                                    double& speed) {
    const Nanos watched = clock_.now();
    const Traffic own_before = traffic();
    const std::optional<Traffic> its_before = its_traffic();
    const Nanos begun = clock_.now();
    int status = 0;
    const int64_t moved = (this->*way)(bytes, status);
    const Nanos took = clock_.now() - begun;
    if (auto refused = refusal(status)) return refused;
    const std::optional<Traffic> its_after = its_traffic();
    const int64_t own = traffic().*here - own_before.*here;
    const int64_t its = its_before && its_after ? (*its_after).*there - (*its_before).*there : 0;
    speed = gb_s(moved, took);
    busy_ = std::max(busy_, gb_s(std::max(own, its), clock_.now() - watched));
    return std::nullopt;
  }

  std::optional<Traffic> its_traffic() {
    return read_traffic(http_->send(request("GET", "/link")).body);
  }

  int64_t fetch(int64_t bytes, int& status) {
    int64_t got = 0;
    const Nanos until = clock_.now() + kEnoughOfOne;
    http_->stream(request("GET", fmt::format("/link/bytes?bytes={}", bytes)),
                  {[&](const HttpResponse& head) { status = head.status; },
                   [&](std::string_view part) {
                     got += static_cast<int64_t>(part.size());
                     return clock_.now() < until;
                   }});
    return got;
  }

  int64_t bring(int64_t bytes, int& status) {
    ClientRequest post = request("POST", "/link/bytes");
    post.body.assign(static_cast<size_t>(bytes), 'x');
    status = http_->send(post).status;
    return bytes;
  }

  const LinkPeer& peer_;
  const Clock& clock_;
  std::unique_ptr<HttpClient> http_;
  double busy_ = 0;  // of this try, in GB/s
};

transport::HttpServerOptions door_options(const std::string& host, uint16_t port) {
  transport::HttpServerOptions options;
  options.host = host;
  options.port = port;
  options.io_threads = 1;
  options.connections_max = kVisitorsMax;
  options.limits.body_bytes_max = static_cast<size_t>(kTransferMax);
  options.body_timeout_ms = options.idle_timeout_ms = options.write_stall_ms = 10'000;
  return options;
}

}  // namespace

std::string link_key(const std::string& token, const std::string& node) {
  const std::string text = "hearth link " + node;
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), token.data(), static_cast<int>(token.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &size);
  std::string out;
  for (unsigned int i = 0; i < size; ++i) out += fmt::format("{:02x}", mac[i]);
  return out;
}

LinkDoor::LinkDoor(const std::string& host, uint16_t port, std::string key, const Clock& clock)
    : key_(std::move(key)),
      clock_(clock),
      http_(door_options(host, port), [this](auto exchange) { handle(*exchange); }) {
  http_.start();
}

// One begins after the other, so that visitors who come together do not measure each other.
bool LinkDoor::may_transfer() {
  const std::lock_guard lock(mutex_);
  const Nanos now = clock_.now();
  if (now < free_at_) return false;
  free_at_ = now + kBetweenTransfers;
  return true;
}

void LinkDoor::handle(transport::HttpExchange& exchange) {
  const transport::HttpRequest& request = exchange.request();
  const std::string wanted = "Bearer " + key_;
  const std::string* shown = request.headers.find("Authorization");
  if (!shown || shown->size() != wanted.size() ||
      CRYPTO_memcmp(shown->data(), wanted.data(), wanted.size()) != 0) {
    return exchange.respond({401, {}, "this door is for nodes of the same Forge\n"});
  }
  if (request.path == "/link") return exchange.respond({200, {}, written(traffic())});
  if (request.path != "/link/bytes") return exchange.respond({404, {}, "no such route\n"});
  const bool large = request.method == "POST"
                         ? request.body.size() > static_cast<size_t>(kFirstTransfer)
                         : bytes_asked(request) > kFirstTransfer;
  if (large && !may_transfer()) return exchange.respond({503, {{"Retry-After", "1"}}, "busy\n"});
  if (request.method == "POST") return exchange.respond({204, {}, ""});
  exchange.respond({200, {}, std::string(static_cast<size_t>(bytes_asked(request)), 'x')});
}

LinkVisit measure_link(const LinkPeer& peer, const Clock& clock) {
  try {
    return Visitor(peer, clock).visit();
  } catch (const Error& error) {
    if (error.code != ErrorCode::kIo) throw;
    return {LinkEnd::kSilent, {}, error.text};
  }
}

Traffic traffic_in(const std::string& text) {
  Traffic out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const size_t begin = line.find_first_not_of(' ');
    if (line.substr(begin, colon - begin) == "lo") continue;
    // Bytes, packets and six more of what came in; then the same of what went out.
    std::istringstream fields(line.substr(colon + 1));
    int64_t field[9] = {};
    for (int64_t& value : field) fields >> value;
    out.in += field[0], out.out += field[8];
  }
  return out;
}

Traffic traffic() {
  constexpr const char* kCounters = "/proc/net/dev";
  return io::file_exists(kCounters) ? traffic_in(io::read_file(kCounters)) : Traffic{};
}

}  // namespace hearth::forge
