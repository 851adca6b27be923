#include "forge/server/loop.h"

#include <algorithm>
#include <chrono>

#include "forge/codec/messages.h"
#include "forge/server/views.h"
#include "io/json.h"
#include "transport/sse.h"

namespace hearth::forge {
namespace {

constexpr auto kLongestWait = std::chrono::milliseconds(250);
constexpr Millis kSampleMs = 10'000;
constexpr int kNotesAtOnce = 1'000;
constexpr Millis kLongestSilence = 2'000;  // of a stream of notes, to which nothing happens

}  // namespace

Loop::Loop(Control& control, History& history, const Clock& clock, OnFailure on_failure)
    : control_(control), history_(history), clock_(clock), on_failure_(std::move(on_failure)) {}

Loop::~Loop() { stop(); }

void Loop::start() {
  thread_ = std::thread([this] { run(); });
}

void Loop::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
  for (auto& [node, stream] : agents_) stream->finish();
  for (Follower& follower : followers_) follower.stream->finish();
  agents_.clear(), followers_.clear();
}

void Loop::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  wake_.notify_one();
}

void Loop::run() {
  for (;;) {
    std::vector<Task> tasks;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kLongestWait, [this] { return stopping_ || !tasks_.empty(); });
      if (stopping_) return;
      tasks.swap(tasks_);
    }
    try {
      turn(std::move(tasks));
    } catch (const Error& error) {
      // What was decided may not be on disk: nobody has heard of it, and nobody must.
      return on_failure_(error);
    }
  }
}

void Loop::turn(std::vector<Task> tasks) {
  std::vector<Request> requests;
  for (Task& task : tasks) task(requests);
  std::vector<Command> commands;
  control_.turn(clock_.wall() / kMillisecond, std::move(requests), commands);
  send(commands);
  take_sample();
  tell_followers();
}

void Loop::send(const std::vector<Command>& commands) {
  for (const Command& command : commands) {
    const NodeId node = std::visit([](const auto& c) { return c.node; }, command);
    const auto agent = agents_.find(node);
    if (agent == agents_.end()) continue;
    const std::string frame = codec::frame(codec::encode_command(command));
    // What an agent misses is sent again.
    if (agent->second->send(frame) == transport::SendState::kClosed) agents_.erase(agent);
  }
}

void Loop::connect_agents(const std::vector<NodeId>& nodes,
                          const std::shared_ptr<transport::HttpExchange>& stream) {
  stream->start_stream({.status = 200, .headers = {{"Content-Type", "application/octet-stream"}}});
  for (NodeId node : nodes) {
    auto& place = agents_[node];
    if (place && place != stream) place->finish();
    place = stream;
  }
}

void Loop::follow_notes(int64_t after, std::shared_ptr<transport::HttpExchange> stream) {
  stream->start_stream(
      {.status = 200,
       .headers = {{"Content-Type", "text/event-stream"}, {"Cache-Control", "no-store"}}});
  if (after < 0) {
    const std::vector<NumberedNote> last = history_.notes(-1, -1, 1);
    after = last.empty() ? 0 : last.back().number;
  }
  followers_.push_back({after, 0, std::move(stream)});
}

// A server that is merely stopped keeps its connections: who follows knows it by its silence.
void Loop::tell_followers() {
  const Millis now = clock_.now() / kMillisecond;
  std::erase_if(followers_, [&](Follower& follower) {
    for (const NumberedNote& note : history_.notes(follower.after, -1, kNotesAtOnce)) {
      const std::string text = io::dump_json(note_view(control_.scheduler(), note));
      const auto state = follower.stream->send(transport::sse_frame("note", text));
      if (state == transport::SendState::kClosed) return true;
      follower.after = note.number;
      follower.told_at = now;
      if (state == transport::SendState::kFull) break;
    }
    if (now < follower.told_at + kLongestSilence) return false;
    follower.told_at = now;
    return follower.stream->send(": nothing new\n\n") == transport::SendState::kClosed;
  });
}

void Loop::take_sample() {
  const Millis now = control_.scheduler().now();
  if (now < next_sample_) return;
  next_sample_ = now + kSampleMs;
  history_.add_sample(sample_of(control_.scheduler()));
}

}  // namespace hearth::forge
