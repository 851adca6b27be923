#include "serve/tenants/metered_surface.h"

#include "base/error.h"
#include "base/log.h"
#include "flywheel/ptu.h"
#include "serve/app.h"
#include "serve/services.h"

namespace hearth::serve {
namespace {

void write_usage(App& app, const UsageLabels& labels, const UsageCounts& counts) {
  try {
    app.services.usage.add(app.clock.wall() / kSecond, labels, counts);
  } catch (const Error& error) {
    log::error("usage not written where={} error=\"{}\"", error.where, error.text);
  }
}

class MeteredSurface final : public Surface {
 public:
  MeteredSurface(App& app, std::shared_ptr<Reply> reply, std::optional<Bill> bill,
                 std::unique_ptr<Surface> inner)
      : app_(app), reply_(std::move(reply)), bill_(std::move(bill)), inner_(std::move(inner)) {}
  ~MeteredSurface() override {
    if (!settled_) settle({});
  }

  void on_admitted() override { inner_->on_admitted(); }
  void on_prompt_logprobs(int32_t prompt, std::vector<TokenText> tokens) override {
    inner_->on_prompt_logprobs(prompt, std::move(tokens));
  }
  void on_piece(Piece piece) override { inner_->on_piece(std::move(piece)); }
  void on_vector(int32_t prompt, std::vector<float> vector) override {
    inner_->on_vector(prompt, std::move(vector));
  }
  void on_end(const ChoiceEnd& end) override { inner_->on_end(end); }
  void on_refused(const engine::Admission& refusal) override { inner_->on_refused(refusal); }
  bool writable() override { return inner_->writable(); }

  // First the books, then the answer: what was answered is never forgotten.
  void on_done(const Totals& totals) override {
    settle(totals);
    const UsageCounts counts = counts_of(totals);
    if (bill_) write_usage(app_, bill_->labels, counts);
    if (!reply_->streaming()) {
      reply_->set_header(kWorkHeader, fmt::format("{:.6f}", counts.ptu_minutes()));
    }
    inner_->on_done(totals);
  }

  // On any thread, also the engine's: the books are written by somebody else.
  void on_abandoned(const Totals& totals) override {
    settle(totals);
    if (bill_ && totals.prompt_tokens > 0) {
      app_.executor.post([&app = app_, labels = bill_->labels, counts = counts_of(totals)] {
        write_usage(app, labels, counts);
      });
    }
    inner_->on_abandoned(totals);
  }

 private:
  void settle(const Totals& totals) {
    settled_ = true;
    if (!bill_) return;
    app_.services.limiter.settle(bill_->labels.project, bill_->limits, bill_->reserved,
                                 int64_t{totals.prompt_tokens} + totals.output_tokens);
  }

  App& app_;
  const std::shared_ptr<Reply> reply_;
  const std::optional<Bill> bill_;
  const std::unique_ptr<Surface> inner_;
  bool settled_ = false;
};

}  // namespace

UsageCounts counts_of(const Totals& totals) {
  return {1, totals.prompt_tokens, totals.cached_tokens, totals.output_tokens,
          flywheel::micro_ptu_minutes(totals.cost)};
}

std::unique_ptr<Surface> metered(App& app, std::shared_ptr<Reply> reply, std::optional<Bill> bill,
                                 std::unique_ptr<Surface> inner) {
  return std::make_unique<MeteredSurface>(app, std::move(reply), std::move(bill), std::move(inner));
}

}  // namespace hearth::serve
