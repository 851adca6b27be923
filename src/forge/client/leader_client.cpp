#include "forge/client/leader_client.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>

#include "base/error.h"

namespace hearth::forge {

using transport::ClientRequest;
using transport::ClientStream;
using transport::HttpClient;
using transport::HttpResponse;

namespace {

constexpr int kHopsMax = 4;
// A server that did not answer is passed over so many rounds: until its lease is over the others
// name it, or say that nobody decides. They are asked every moment, and the silent one costs its
// whole silence only now and then.
constexpr int kPassesOver = 12;

class LeaderClient final : public HttpClient {
 public:
  LeaderClient(const std::string& urls, std::unique_ptr<HttpClient> http)
      : servers_(server_list(urls)), place_(servers_[0]), http_(std::move(http)) {}

  void stream(const ClientRequest& request, const ClientStream& sink) override {
    size_t silent = 0;
    for (int hops = 0; hops < kHopsMax;) {
      ClientRequest there = request;
      there.url = place_ + request.url;
      Visit visit(sink);
      try {
        http_->stream(there, visit.sink());
      } catch (const Error& error) {
        if (error.code != ErrorCode::kIo) throw;
        leave_silent();
        if (visit.answered() || ++silent >= servers_.size()) throw;
        continue;
      }
      if (visit.leader().empty()) return;
      if (visit.leader() == kNoLeader) give_up("no server decides at the moment");
      if (is_passed_over(visit.leader()))
        give_up(fmt::format("the server that decides, {}, does not answer", visit.leader()));
      place_ = visit.leader();
      ++hops;
    }
    next();
    throw_error(ErrorCode::kIo, place_, "the servers send each other's clients on and on");
  }

 private:
  // One server's answer: the one that was wanted, or where that is to be had.
  class Visit {
   public:
    explicit Visit(const ClientStream& sink) : sink_(sink) {}
    ClientStream sink() {
      return {[this](const HttpResponse& head) {
                if (const std::string* leader = head.headers.find(kLeaderHeader)) {
                  leader_ = *leader;
                } else {
                  answered_ = true;
                  if (sink_.on_head) sink_.on_head(head);
                }
              },
              [this](std::string_view bytes) {
                return !answered_ || !sink_.on_bytes || sink_.on_bytes(bytes);
              }};
    }
    bool answered() const { return answered_; }
    const std::string& leader() const { return leader_; }

   private:
    const ClientStream& sink_;
    bool answered_ = false;
    std::string leader_;
  };

  void leave_silent() {
    end_round();
    passes_[place_] = kPassesOver;
    next();
  }

  [[noreturn]] void give_up(const std::string& why) {
    const std::string asked = place_;
    end_round();
    next();
    throw_error(ErrorCode::kIo, asked, "{}", why);
  }

  void end_round() {
    for (auto passed = passes_.begin(); passed != passes_.end();)
      passed = --passed->second == 0 ? passes_.erase(passed) : std::next(passed);
  }

  bool is_passed_over(const std::string& place) const { return passes_.contains(place); }

  // The next one that is not passed over; where all are, the one that has been silent longest.
  void next() {
    size_t chosen = servers_.size();
    for (size_t step = 1; step <= servers_.size(); ++step) {
      const size_t at = (at_ + step) % servers_.size();
      if (chosen == servers_.size() || passes(at) < passes(chosen)) chosen = at;
    }
    at_ = chosen;
    place_ = servers_[at_];
    passes_.erase(place_);
  }

  int passes(size_t server) const {
    const auto found = passes_.find(servers_[server]);
    return found == passes_.end() ? 0 : found->second;
  }

  std::vector<std::string> servers_;
  // Of the list or not: a server may be known by another address than its own.
  std::map<std::string, int> passes_;  // for how many rounds each one is still passed over
  size_t at_ = 0;
  std::string place_;  // of the list, or where one of it sent us
  std::unique_ptr<HttpClient> http_;
};

}  // namespace

std::vector<std::string> server_list(const std::string& urls) {
  std::vector<std::string> out;
  for (size_t at = 0; at <= urls.size();) {
    const size_t end = std::min(urls.find(',', at), urls.size());
    std::string url = urls.substr(at, end - at);
    while (url.ends_with('/')) url.pop_back();
    transport::parse_url(url);  // or it says what is wrong
    out.push_back(std::move(url));
    at = end + 1;
  }
  return out;
}

int64_t silence_of(const std::string& urls, int64_t alone, int64_t among_several) {
  return urls.find(',') == std::string::npos ? alone : std::min(alone, among_several);
}

std::unique_ptr<HttpClient> make_leader_client(const std::string& urls) {
  return make_leader_client(urls, transport::make_http_client());
}

std::unique_ptr<HttpClient> make_leader_client(const std::string& urls,
                                               std::unique_ptr<HttpClient> http) {
  return std::make_unique<LeaderClient>(urls, std::move(http));
}

}  // namespace hearth::forge
