#include "serve/tuning/training_log.h"

#include <algorithm>
#include <functional>
#include <map>

#include "base/error.h"
#include "io/file.h"
#include "io/json.h"

namespace hearth::serve {
namespace {

using io::Json;

constexpr int64_t kEventsOfAJob = 1000;  // about; of a longer one, every so manieth step

double number(const Json& line, const char* name) {
  const auto found = line.find(name);
  return found != line.end() && found->is_number() ? found->get<double>() : 0;
}

// Every whole line that is about a step.
void for_each_step(const std::string& path, const std::function<void(const Json&)>& visit) {
  if (!io::file_exists(path)) return;
  const std::string text = io::read_file(path);
  for (size_t begin = 0;;) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) return;
    const Json line = Json::parse(text.begin() + static_cast<std::ptrdiff_t>(begin),
                                  text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    begin = end + 1;
    if (line.is_object() && line.contains("step") && line["step"].is_number_integer()) visit(line);
  }
}

void copy_numbers(const Json& from,
                  std::initializer_list<std::pair<const char*, const char*>> names, Json& to) {
  for (const auto& [name, as] : names) {
    if (const auto found = from.find(name); found != from.end() && found->is_number()) {
      to[as] = *found;
    }
  }
}

}  // namespace

std::vector<TuningEvent> read_training_log(const std::string& path, TuningJob& job, Ids& ids,
                                           int64_t now_s) {
  std::vector<TuningEvent> events;
  const int64_t every = std::max<int64_t>(1, job.steps / kEventsOfAJob);
  const auto tell = [&](std::string message, const Json& data) {
    events.push_back(
        {ids.make("ftevent-"), now_s, "info", "metrics", std::move(message), io::dump_json(data)});
  };
  for_each_step(path, [&](const Json& line) {
    const auto step = line["step"].get<int64_t>();
    const std::string place = fmt::format("Step {}/{}", step, std::max(job.steps, step));
    if (line.contains("validation_loss")) {
      if (step <= job.last_validation_step) return;
      job.last_validation_step = step;
      Json data = {{"step", step}, {"total_steps", job.steps}};
      copy_numbers(line,
                   {{"validation_loss", "valid_loss"},
                    {"validation_accuracy", "valid_accuracy"},
                    {"validation_margin", "valid_margin"}},
                   data);
      return tell(fmt::format("{}: validation loss={:.4f}", place, number(line, "validation_loss")),
                  data);
    }
    if (step <= job.last_step || !line.contains("loss")) return;
    job.last_step = step;
    job.trained_tokens = static_cast<int64_t>(number(line, "tokens"));
    job.attempts = 0;
    if (step % every != 0 && step != job.steps) return;
    Json data = {{"step", step}, {"total_steps", job.steps}};
    copy_numbers(line,
                 {{"loss", "train_loss"},
                  {"accuracy", "train_accuracy"},
                  {"margin", "train_margin"},
                  {"learning_rate", "learning_rate"},
                  {"grad_norm", "grad_norm"},
                  {"epoch", "epoch"},
                  {"tokens_per_second", "tokens_per_second"}},
                 data);
    tell(fmt::format("{}: training loss={:.4f}", place, number(line, "loss")), data);
  });
  return events;
}

std::string training_table(const std::string& path) {
  struct Row {
    std::string train, valid;
  };
  std::map<int64_t, Row> rows;
  const auto text = [](const Json& line, const char* name) {
    return line.contains(name) ? io::dump_json(line[name]) : std::string();
  };
  for_each_step(path, [&](const Json& line) {
    Row& row = rows[line["step"].get<int64_t>()];
    if (line.contains("validation_loss")) {
      row.valid = text(line, "validation_loss") + "," + text(line, "validation_accuracy");
    } else {
      row.train = text(line, "loss") + "," + text(line, "accuracy");
    }
  });
  std::string out = "step,train_loss,train_accuracy,valid_loss,valid_accuracy\n";
  for (const auto& [step, row] : rows) {
    out += fmt::format("{},{},{}\n", step, row.train.empty() ? "," : row.train,
                       row.valid.empty() ? "," : row.valid);
  }
  return out;
}

}  // namespace hearth::serve
