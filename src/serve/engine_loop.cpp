#include "serve/engine_loop.h"

#include <condition_variable>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace hearth::serve {

namespace {

double seconds(Nanos duration) { return static_cast<double>(duration) / kSecond; }

// Of full steps, also where steps have no target.
Nanos step_time(const engine::EngineConfig& config) {
  return config.step_time_target > 0 ? config.step_time_target : 100 * kMillisecond;
}

}  // namespace

struct EngineLoop::Signal {
  std::mutex mutex;
  std::condition_variable wake;
};

EngineLoop::EngineLoop(const engine::EngineConfig& config, engine::Runner& runner,
                       const Clock& clock, Metrics& metrics, Executor& told,
                       engine::Drafter* drafter)
    : config_(config),
      runner_(runner),
      clock_(clock),
      metrics_(metrics),
      told_(told),
      signal_(std::make_unique<Signal>()),
      scheduler_(config, nullptr, drafter) {
  published_ = scheduler_.stats();
  costs_.prices = config.prices;
  if (!config.costs.known()) return;
  costs_.source = EngineCosts::Source::kCalibrated;
  costs_.capacity = capacity_per_minute(config.costs, step_time(config));
}

EngineLoop::~EngineLoop() { stop(); }

engine::Admission EngineLoop::submit(Submission submission) {
  engine::Admission admission = engine::check_request(submission.request, config_);
  if (!admission.accepted()) return admission;
  Command command;
  command.submission = std::move(submission);
  const bool waits = command.submission.request.service_class < engine::ServiceClass::kBatch;
  {
    const std::lock_guard lock(signal_->mutex);
    // The scheduler has the last word, but it may be in the middle of a long step.
    const int32_t queued =
        published_.queued_up_to(command.submission.request.service_class) + mailbox_adds_;
    if (queued >= config_.max_queued_requests) {
      return {engine::AdmissionCode::kQueueFull,
              fmt::format("max_queued_requests = {} requests wait already; try again later",
                          config_.max_queued_requests)};
    }
    ++mailbox_adds_;
    ++unfinished_;
    mailbox_.push_back(std::move(command));
    if (waits) wanted_ = true;
  }
  signal_->wake.notify_one();
  return admission;
}

void EngineLoop::cancel(engine::RequestId id) {
  Command command;
  command.kind = Command::Kind::kCancel;
  command.id = id;
  post(std::move(command));
}

void EngineLoop::finish(engine::RequestId id, int32_t choice, engine::FinishReason reason) {
  Command command;
  command.kind = Command::Kind::kFinish;
  command.id = id;
  command.choice = choice;
  command.reason = reason;
  post(std::move(command));
}

void EngineLoop::add_adapter(engine::AdapterId adapter, int32_t pages) {
  Command command;
  command.kind = Command::Kind::kAddAdapter;
  command.adapter = adapter;
  command.pages = pages;
  post(std::move(command));
}

void EngineLoop::remove_adapter(engine::AdapterId adapter) {
  Command command;
  command.kind = Command::Kind::kRemoveAdapter;
  command.adapter = adapter;
  post(std::move(command));
}

void EngineLoop::adapter_loaded(engine::AdapterId adapter, const std::string& error) {
  Command command;
  command.kind = Command::Kind::kAdapterLoaded;
  command.adapter = adapter;
  command.error = error;
  post(std::move(command));
}

void EngineLoop::set_deployment(engine::DeploymentId deployment, engine::Cost rate_per_minute) {
  Command command;
  command.kind = Command::Kind::kSetDeployment;
  command.deployment = deployment;
  command.rate = rate_per_minute;
  post(std::move(command));
}

void EngineLoop::remove_deployment(engine::DeploymentId deployment) {
  Command command;
  command.kind = Command::Kind::kRemoveDeployment;
  command.deployment = deployment;
  post(std::move(command));
}

EngineCosts EngineLoop::costs() const {
  const std::lock_guard lock(signal_->mutex);
  return costs_;
}

void EngineLoop::post(Command command) {
  {
    const std::lock_guard lock(signal_->mutex);
    mailbox_.push_back(std::move(command));
  }
  signal_->wake.notify_one();
}

engine::Stats EngineLoop::stats() const {
  const std::lock_guard lock(signal_->mutex);
  engine::Stats stats = published_;
  stats.queued_requests += mailbox_adds_;
  return stats;
}

void EngineLoop::start() {
  thread_ = std::thread([this] { run(); });
}

void EngineLoop::stop() {
  {
    const std::lock_guard lock(signal_->mutex);
    stopping_ = true;
  }
  signal_->wake.notify_one();
  if (thread_.joinable()) thread_.join();
  // The sinks hold connections, which must go before the server's I/O does.
  live_.clear();
  std::vector<Command> forgotten;
  {
    const std::lock_guard lock(signal_->mutex);
    forgotten.swap(mailbox_);
  }
}

void EngineLoop::run() {
  for (;;) {
    {
      std::unique_lock lock(signal_->mutex);
      signal_->wake.wait(lock, [this] {
        return stopping_ || !mailbox_.empty() || (scheduler_.busy() && !stalled_);
      });
      if (stopping_) return;
    }
    turn();
  }
}

bool EngineLoop::turn() {
  const bool had_mail = read_mailbox();
  stalled_ = stalled_ && !had_mail;
  const bool works = scheduler_.busy() && !stalled_;
  if (works) step();
  return had_mail || works;
}

bool EngineLoop::read_mailbox() {
  std::vector<Command> commands;
  {
    const std::lock_guard lock(signal_->mutex);
    commands.swap(mailbox_);
    wanted_ = false;
  }
  for (Command& command : commands) obey(command);
  if (!commands.empty()) publish();
  return !commands.empty();
}

void EngineLoop::obey(Command& command) {
  switch (command.kind) {
    case Command::Kind::kAdd:
      return add(std::move(command.submission));
    case Command::Kind::kCancel: {
      const auto it = live_.find(command.id);
      if (it == live_.end()) return;
      scheduler_.cancel(command.id);
      for (const Choice& choice : it->second.choices) {
        if (!choice.ended) metrics_.request_success.add({"abort"});
      }
      return forget(command.id);
    }
    case Command::Kind::kFinish: {
      const auto it = live_.find(command.id);
      if (it == live_.end()) return;
      Choice& choice = it->second.choices.at(static_cast<size_t>(command.choice));
      if (choice.ended) return;
      scheduler_.finish(command.id, command.choice, command.reason);
      choice.ended = true;
      measure_end(it->second, choice, command.reason, clock_.now());
      for (const Choice& other : it->second.choices) {
        if (!other.ended) return;
      }
      return forget(command.id);
    }
    case Command::Kind::kAddAdapter:
      return scheduler_.add_adapter(command.adapter, command.pages);
    case Command::Kind::kRemoveAdapter:
      return scheduler_.remove_adapter(command.adapter);
    case Command::Kind::kAdapterLoaded:
      return adapter_is_loaded(command);
    case Command::Kind::kSetDeployment:
      return scheduler_.set_deployment(command.deployment, command.rate);
    case Command::Kind::kRemoveDeployment:
      return scheduler_.remove_deployment(command.deployment);
  }
}

void EngineLoop::adapter_is_loaded(const Command& command) {
  const Nanos now = clock_.now();
  const auto load = loads_.find(command.adapter);
  if (load != loads_.end()) {
    metrics_.adapter_load_time_seconds.observe(seconds(now - load->second));
    loads_.erase(load);
  }
  if (command.error.empty()) return scheduler_.adapter_loaded(command.adapter);
  log::error("adapter not loaded id={} error=\"{}\"", command.adapter, command.error);
  for (const engine::Output& output : scheduler_.adapter_failed(command.adapter, command.error)) {
    tell(output, now);
  }
}

void EngineLoop::add(Submission submission) {
  const engine::RequestId id = submission.request.id;
  Live live;
  live.sink = submission.sink;
  live.meter = std::move(submission.meter);
  live.arrived = submission.arrived;
  live.prompt_tokens = static_cast<int32_t>(submission.request.prompt.size());
  live.choices.resize(static_cast<size_t>(submission.request.choices));
  metrics_.request_params_n.observe(submission.request.choices);
  if (submission.request.max_tokens != engine::kAsManyAsFit) {
    metrics_.request_params_max_tokens.observe(submission.request.max_tokens);
  }
  engine::Admission admission = scheduler_.add(std::move(submission.request), clock_.now());
  const std::shared_ptr<EngineSink> sink = live.sink;
  if (admission.accepted()) {
    live_.emplace(id, std::move(live));
  } else {
    --unfinished_;
  }
  sink->on_admission(std::move(admission));
}

void EngineLoop::step() {
  const Nanos begin = clock_.now();
  const engine::StepPlan& plan = scheduler_.plan(begin);
  stalled_ = plan.empty();
  if (stalled_) return;
  publish();
  for (const engine::AdapterOrder& order : plan.adapters) {
    if (order.kind == engine::AdapterOrder::Kind::kLoad) loads_[order.adapter] = begin;
  }
  for (const engine::StepSequence& sequence : plan.sequences) {
    const auto it = live_.find(sequence.request);
    if (it == live_.end() || std::exchange(it->second.scheduled, true)) continue;
    it->second.first_step = begin;
    if (it->second.meter) it->second.meter->on_first_step();
    metrics_.request_queue_time_seconds.observe(seconds(begin - it->second.arrived));
  }
  const bool computes = !plan.sequences.empty();
  const engine::StepWork work = plan.work;
  if (computes) metrics_.iteration_tokens_total.observe(plan.tokens);
  engine::StepResult result;
  try {
    result =
        plan.idle ? runner_.run_idle(plan, [this] { return wanted_.load(); }) : runner_.run(plan);
    healthy_ = true;
  } catch (const Error& error) {
    result = fail_step(plan, error.text);
  } catch (const std::exception& error) {
    result = fail_step(plan, error.what());
  }
  const Nanos now = clock_.now();
  if (computes && !result.abandoned) metrics_.step_time_seconds.observe(seconds(now - begin));
  const Gathering news(told_);
  for (const engine::Output& output : scheduler_.commit(result, now)) tell(output, now);
  if (computes && healthy_ && !result.abandoned && work.drafted == 0) learn(work, now - begin);
  publish();
}

void EngineLoop::learn(const engine::StepWork& work, Nanos duration) {
  if (config_.costs.known()) return;
  const auto costs = learner_.learn(work, duration);
  if (!costs) return;
  const engine::TokenPrices prices = prices_of(*costs, step_time(config_), config_.max_num_seqs);
  scheduler_.set_prices(prices);
  const std::lock_guard lock(signal_->mutex);
  costs_ = {EngineCosts::Source::kLearned, prices, capacity_per_minute(*costs, step_time(config_))};
}

// What the runner would have answered, had it not failed: every sequence ends with the error.
engine::StepResult EngineLoop::fail_step(const engine::StepPlan& plan, const std::string& error) {
  log::error("step failed step={} sequences={} error=\"{}\"", plan.step, plan.sequences.size(),
             error);
  healthy_ = false;
  engine::StepResult result;
  result.sequences.resize(plan.sequences.size());
  for (engine::SequenceResult& sequence : result.sequences) sequence.error = error;
  return result;
}

void EngineLoop::publish() {
  const engine::Stats stats = scheduler_.stats();
  const std::lock_guard lock(signal_->mutex);
  published_ = stats;
  mailbox_adds_ = 0;
  for (const Command& command : mailbox_) mailbox_adds_ += command.kind == Command::Kind::kAdd;
}

void EngineLoop::tell(const engine::Output& output, Nanos now) {
  const auto it = live_.find(output.request);
  if (it == live_.end()) return;
  Live& live = it->second;
  measure_tokens(live, output, now);
  if (live.meter) live.meter->on_output(output, now);
  News news;
  news.choice = output.choice;
  news.tokens.assign(output.tokens.begin(), output.tokens.end());
  news.prompt.assign(output.prompt.begin(), output.prompt.end());
  news.prompt_begin = output.prompt_begin;
  news.pooled.assign(output.pooled.begin(), output.pooled.end());
  news.finish = output.finish;
  news.stop_token = output.stop_token;
  news.error = output.error;
  news.request_done = output.request_done;
  news.usage = output.usage;
  if (output.finish != engine::FinishReason::kNone) {
    Choice& choice = live.choices.at(static_cast<size_t>(output.choice));
    choice.ended = true;
    measure_end(live, choice, output.finish, now);
  }
  const std::shared_ptr<EngineSink> sink = live.sink;
  if (output.request_done) forget(output.request);
  sink->on_news(std::move(news));
}

void EngineLoop::measure_tokens(Live& live, const engine::Output& output, Nanos now) {
  if (output.tokens.empty()) return;
  Choice& choice = live.choices.at(static_cast<size_t>(output.choice));
  if (choice.tokens == 0) {
    choice.first_token = now;
    metrics_.time_to_first_token_seconds.observe(seconds(now - live.arrived));
    metrics_.request_prefill_time_seconds.observe(seconds(now - live.first_step));
  } else {
    metrics_.inter_token_latency_seconds.observe(seconds(now - choice.last_token));
  }
  choice.last_token = now;
  choice.tokens += static_cast<int32_t>(output.tokens.size());
}

void EngineLoop::measure_end(const Live& live, const Choice& choice, engine::FinishReason reason,
                             Nanos now) {
  metrics_.request_success.add({engine::to_string(reason)});
  metrics_.e2e_request_latency_seconds.observe(seconds(now - live.arrived));
  metrics_.request_inference_time_seconds.observe(seconds(now - live.first_step));
  metrics_.request_prompt_tokens.observe(live.prompt_tokens);
  metrics_.request_generation_tokens.observe(choice.tokens);
  if (choice.tokens < 2) return;
  const double decode = seconds(choice.last_token - choice.first_token);
  metrics_.request_decode_time_seconds.observe(decode);
  metrics_.request_time_per_output_token_seconds.observe(decode / (choice.tokens - 1));
}

void EngineLoop::forget(engine::RequestId id) {
  if (live_.erase(id) > 0) --unfinished_;
}

}  // namespace hearth::serve
