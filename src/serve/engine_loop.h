// The thread that owns the scheduler and the runner, and the mailbox in front of it.
//
// Other threads submit, cancel and finish; each takes a short lock and never waits for a step.
// News goes to the sinks as tokens: text and JSON are made elsewhere.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "engine/scheduler.h"
#include "flywheel/cost_learner.h"
#include "serve/executor.h"
#include "serve/metrics.h"

namespace hearth::serve {

// What one step brought one choice: engine::Output with its own copy of everything.
struct News {
  int32_t choice = 0;
  std::vector<engine::SampledToken> tokens;
  std::vector<engine::SampledToken> prompt;
  int32_t prompt_begin = 0;
  std::vector<float> pooled;
  engine::FinishReason finish = engine::FinishReason::kNone;
  engine::TokenId stop_token = engine::kNoToken;
  std::string error;
  bool request_done = false;
  engine::Usage usage;
};

// Called on the engine's thread: keep what came and return.
class EngineSink {
 public:
  virtual ~EngineSink() = default;
  // Once, before any news: whether the scheduler took the request. After a refusal nothing follows.
  virtual void on_admission(engine::Admission admission) = 0;
  virtual void on_news(News news) = 0;
};

// Hears what becomes of a request, on the engine's thread, and is let go of with it.
class RequestMeter {
 public:
  virtual ~RequestMeter() = default;
  virtual void on_first_step() = 0;
  virtual void on_output(const engine::Output& output, Nanos now) = 0;
};

struct Submission {
  engine::Request request;
  Nanos arrived = 0;
  std::shared_ptr<EngineSink> sink;
  std::shared_ptr<RequestMeter> meter = nullptr;
};

// What work costs here, and what the machine does of it in a minute.
struct EngineCosts {
  enum class Source : uint8_t { kUnknown, kLearned, kCalibrated };
  Source source = Source::kUnknown;
  engine::TokenPrices prices;
  engine::Cost capacity = 0;
};

class EngineLoop {
 public:
  // Everything outlives this. `told` is where the sinks post what becomes of news: it begins once a
  // step's are complete. Without a drafter, guesses are looked up in the text.
  EngineLoop(const engine::EngineConfig& config, engine::Runner& runner, const Clock& clock,
             Metrics& metrics, Executor& told, engine::Drafter* drafter = nullptr);
  ~EngineLoop();  // stop()

  // Any thread. A refusal here is at once; one by the scheduler itself comes through the sink.
  engine::Admission submit(Submission submission);
  void cancel(engine::RequestId id);
  void finish(engine::RequestId id, int32_t choice, engine::FinishReason reason);
  // Any thread, in this order: an adapter is known before requests name it, and not removed twice.
  void add_adapter(engine::AdapterId adapter, int32_t pages);
  void remove_adapter(engine::AdapterId adapter);
  // A load that the runner was given is done: an empty text, or why it failed.
  void adapter_loaded(engine::AdapterId adapter, const std::string& error);
  // Any thread: from the next step on.
  void set_deployment(engine::DeploymentId deployment, engine::Cost rate_per_minute);
  void remove_deployment(engine::DeploymentId deployment);
  EngineCosts costs() const;
  engine::RequestId next_id() { return next_id_.fetch_add(1); }
  // As of the last step, with what waits in the mailbox.
  engine::Stats stats() const;
  const engine::EngineConfig& config() const { return config_; }
  // False when the last step failed.
  bool healthy() const { return healthy_; }
  // Requests that were submitted and have not ended.
  int32_t unfinished() const { return unfinished_; }

  void start();
  // Ends the thread after its step; running requests get no more news.
  void stop();
  // One turn: what is in the mailbox, and one step. False when there was nothing to do. For tests,
  // instead of start().
  bool turn();

 private:
  struct Command {
    enum class Kind {
      kAdd,
      kCancel,
      kFinish,
      kAddAdapter,
      kRemoveAdapter,
      kAdapterLoaded,
      kSetDeployment,
      kRemoveDeployment
    };
    Kind kind = Kind::kAdd;
    engine::RequestId id = 0;
    int32_t choice = 0;
    engine::FinishReason reason = engine::FinishReason::kNone;
    Submission submission;
    engine::AdapterId adapter = engine::kBaseModel;
    int32_t pages = 0;
    std::string error;
    engine::DeploymentId deployment = engine::kNoDeployment;
    engine::Cost rate = 0;
  };
  struct Choice {
    Nanos last_token = 0;
    Nanos first_token = 0;
    int32_t tokens = 0;
    bool ended = false;
  };
  struct Live {
    std::shared_ptr<EngineSink> sink;
    std::shared_ptr<RequestMeter> meter;  // null: nobody's
    Nanos arrived = 0;
    int32_t prompt_tokens = 0;
    std::vector<Choice> choices;
    bool scheduled = false;
    Nanos first_step = 0;
  };

  void post(Command command);
  void run();
  bool read_mailbox();
  void obey(Command& command);
  void add(Submission submission);
  void adapter_is_loaded(const Command& command);
  void step();
  void learn(const engine::StepWork& work, Nanos duration);
  engine::StepResult fail_step(const engine::StepPlan& plan, const std::string& error);
  void publish();
  void tell(const engine::Output& output, Nanos now);
  void measure_tokens(Live& live, const engine::Output& output, Nanos now);
  void measure_end(const Live& live, const Choice& choice, engine::FinishReason reason, Nanos now);
  void forget(engine::RequestId id);

  const engine::EngineConfig config_;
  engine::Runner& runner_;
  const Clock& clock_;
  Metrics& metrics_;
  Executor& told_;

  struct Signal;
  const std::unique_ptr<Signal> signal_;
  std::vector<Command> mailbox_;  // guarded by the signal's mutex
  int32_t mailbox_adds_ = 0;      // likewise
  engine::Stats published_;       // likewise
  EngineCosts costs_;             // likewise
  bool stopping_ = false;         // likewise

  // The engine's thread only.
  engine::Scheduler scheduler_;
  flywheel::CostLearner learner_;  // used where nobody has measured
  std::unordered_map<engine::RequestId, Live> live_;
  std::unordered_map<engine::AdapterId, Nanos> loads_;  // in flight, since when
  bool stalled_ = false;                                // nothing can be done before there is mail

  // Somebody is in the mailbox for whom batch work makes way.
  std::atomic<bool> wanted_{false};
  std::atomic<engine::RequestId> next_id_{1};
  std::atomic<bool> healthy_{true};
  std::atomic<int32_t> unfinished_{0};
  std::thread thread_;
};

}  // namespace hearth::serve
