// hearth forge submit, ps, top, logs, ...: what people ask a server.
#include <CLI/CLI.hpp>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <sys/random.h>
#include <thread>

#include "apps/forge.h"
#include "apps/forge_files.h"
#include "apps/screen.h"
#include "base/error.h"
#include "forge/client/tables.h"
#include "io/json.h"

namespace hearth::apps {
namespace {

using forge::Client;
using io::Json;
using namespace std::chrono_literals;

// One of these commands: where the server is, which job, and what else was said.
struct Asked {
  ForgeAddress address;
  int64_t job = -1;
  std::string text;
  std::vector<std::string> words;
  int64_t number = 0;
  bool flag = false;
  Client client() const { return Client(find_forge(address)); }
  std::string job_path(const char* verb = "") const {
    return fmt::format("jobs/{}{}{}", job, *verb ? "/" : "", verb);
  }
};

void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

std::string random_key() {
  uint64_t words[2] = {};
  if (getrandom(words, sizeof words, 0) != static_cast<ssize_t>(sizeof words))
    throw_error(ErrorCode::kIo, "getrandom", "the machine gives no randomness");
  return fmt::format("{:016x}{:016x}", words[0], words[1]);
}

bool follow_log(Client& client, const Asked& asked);

// A relative folder means one beside the file: the agent may be elsewhere.
void submit(const Asked& asked) {
  Json job = load_job(asked.text);
  const std::filesystem::path beside = std::filesystem::absolute(asked.text).parent_path();
  if (job.contains("directory"))
    job["directory"] = (beside / io::json_require<std::string>(job, "directory", asked.text))
                           .lexically_normal()
                           .string();
  // So that a repeated request is the same submission.
  if (!job.contains("key")) job["key"] = random_key();
  Client client = asked.client();
  const Json answer = client.post("jobs", job);
  Asked of_job = asked;
  of_job.job = answer.at("id").get<int64_t>();
  print(fmt::format("job {} ({})\n", of_job.job, answer.at("name").get<std::string>()));
  if (asked.flag) follow_log(client, of_job);
}

void ps(const Asked& asked) {
  const std::string state = asked.flag ? "all" : "active";
  const Json jobs = asked.client().get(fmt::format("jobs?state={}&limit={}", state, asked.number));
  print(forge::jobs_table(jobs, screen_size().columns));
  if (jobs.at("jobs").empty() && !asked.flag) print("no job waits or runs; --all shows the past\n");
}

void top(const Asked& asked) {
  forge::ClientOptions server = find_forge(asked.address);
  server.patience_ms = 0;  // the screen says that it is gone, and keys go on working
  Client client(server);
  show_screen(asked.flag ? Watch::kOnce : Watch::kFollow, [&](ScreenSize size) {
    const Json state = client.get("state"), jobs = client.get("jobs?limit=200");
    return forge::top_screen(state, jobs, size.columns, size.rows);
  });
}

// Part by part; between epochs it goes on with the next one's. True: there was something.
bool follow_log(Client& client, const Asked& asked) {
  std::string epoch = "-1", offset = "0";
  for (bool any = false;;) {
    const transport::HttpResponse part = client.get_text(fmt::format(
        "{}?rank={}&epoch={}&offset={}", asked.job_path("logs"), asked.number, epoch, offset));
    print(part.body);
    any = any || !part.body.empty();
    epoch = *part.headers.find("Forge-Epoch"), offset = *part.headers.find("Forge-Offset");
    const std::string& state = *part.headers.find("Forge-State");
    const bool over = state == "succeeded" || state == "failed" || state == "cancelled";
    if (!part.body.empty()) continue;
    if (!asked.flag) return any;
    if (over) {
      // The last words may still be on their way from the agent.
      std::this_thread::sleep_for(1s);
      const transport::HttpResponse rest = client.get_text(fmt::format(
          "{}?rank={}&epoch={}&offset={}", asked.job_path("logs"), asked.number, epoch, offset));
      if (!rest.body.empty()) continue;
      std::fprintf(stderr, "job %lld %s\n", static_cast<long long>(asked.job), state.c_str());
      if (state != "succeeded") throw CLI::RuntimeError(1);
      return any;
    }
    std::this_thread::sleep_for(300ms);
  }
}

void logs(const Asked& asked) {
  Client client = asked.client();
  if (follow_log(client, asked) || asked.flag) return;
  std::fprintf(stderr, "worker %lld of job %lld has written nothing yet\n",
               static_cast<long long>(asked.number), static_cast<long long>(asked.job));
}

void explain(const Asked& asked) {
  print(asked.client().get(asked.job_path("explain")).at("text").get<std::string>());
}

void cancel(const Asked& asked) {
  const Json job = asked.client().post(asked.job_path("cancel"), Json::object());
  print(fmt::format("job {} {}\n", asked.job, job.at("state").get<std::string>()));
}

void resize(const Asked& asked) {
  const size_t dash = asked.text.find('-');
  const auto number = [&](const std::string& text) {
    int value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failed != std::errc() || end != text.data() + text.size())
      throw_error(ErrorCode::kInvalidArgument, "WORKERS", "expected N or MIN-MAX, found '{}'",
                  asked.text);
    return value;
  };
  const int low = number(asked.text.substr(0, dash));
  const int high = dash == std::string::npos ? low : number(asked.text.substr(dash + 1));
  asked.client().post(asked.job_path("resize"), {{"min", low}, {"max", high}});
  print(fmt::format("job {} takes {} to {} workers\n", asked.job, low, high));
}

void scale(const Asked& asked) {
  asked.client().post(asked.job_path("scale"), {{"replicas", asked.number}});
  print(fmt::format("deployment {} is to have {} replicas\n", asked.job, asked.number));
}

void restart(const Asked& asked) {
  asked.client().post(asked.job_path("restart"), Json::object());
  print(fmt::format("job {} is started again\n", asked.job));
}

void move(const Asked& asked) {
  asked.client().post(asked.job_path("move"), {{"clusters", asked.words}});
  print(fmt::format(
      "job {} may run in {}\n", asked.job,
      asked.words.empty() ? "any cluster" : fmt::format("{}", fmt::join(asked.words, ", "))));
}

void drain(const Asked& asked, const char* verb) {
  asked.client().post(fmt::format("nodes/{}/{}", asked.text, verb), Json::object());
  print(fmt::format("node {}: {}\n", asked.text, verb));
}

void events(const Asked& asked) {
  Client client = asked.client();
  if (asked.job >= 0) client.get(asked.job_path());  // or there is none, and it says so
  const Json past = client.get(fmt::format("events?limit={}&job={}", asked.number, asked.job));
  print(forge::events_text(past));
  if (!asked.flag) return;
  int64_t after =
      past.at("events").empty() ? -1 : past.at("events").back().at("number").get<int64_t>();
  for (;;) {
    try {
      client.follow(after, [&](const Json& event) {
        after = event.at("number").get<int64_t>();
        const bool wanted = asked.job < 0 || (event.contains("job") && event["job"] == asked.job);
        if (wanted) print(forge::event_line(event));
        return true;
      });
    } catch (const Error& error) {
      if (error.code != ErrorCode::kIo) throw;
    }
    std::this_thread::sleep_for(500ms);
  }
}

struct Added {
  CLI::App* command;
  std::shared_ptr<Asked> asked;
};

Added add(CLI::App& forge, const char* name, const char* about, void (*run)(const Asked&)) {
  Added out{forge.add_subcommand(name, about), std::make_shared<Asked>()};
  add_forge_address(*out.command, out.asked->address);
  out.command->callback([asked = out.asked, run] { run(*asked); });
  return out;
}

Added add_for_job(CLI::App& forge, const char* name, const char* about, void (*run)(const Asked&)) {
  Added out = add(forge, name, about, run);
  out.command->add_option("JOB", out.asked->job, "Its number")->required();
  return out;
}

}  // namespace

void add_forge_jobs(CLI::App& forge) {
  Added one =
      add(forge, "submit", "Hand in a job; its number comes back once it is on disk", submit);
  one.command->add_option("FILE", one.asked->text, "job.toml; its fields are in docs/forge.md")
      ->required()
      ->check(CLI::ExistingFile);
  one.command->add_flag("-f,--follow", one.asked->flag, "Then print its log until it is over");

  one = add(forge, "ps", "Jobs that wait or run", ps);
  one.asked->number = 1'000;
  one.command->add_flag("-a,--all", one.asked->flag, "Those that are over, too");
  one.command->add_option("-n,--limit", one.asked->number, "At most so many")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();

  one = add(forge, "top", "The fleet and its jobs, once a second", top);
  one.command->add_flag("--once", one.asked->flag, "Print it once");

  one = add_for_job(forge, "logs", "What a job wrote, over all its starts", logs);
  one.command->add_flag("-f,--follow", one.asked->flag, "Wait for more until the job is over");
  one.command->add_option("--rank", one.asked->number, "Of which worker")->capture_default_str();

  add_for_job(forge, "explain", "Why a job waits, or runs where it runs", explain);
  add_for_job(forge, "cancel", "Stop a job for good", cancel);

  one = add_for_job(forge, "resize", "Change how many workers a job takes", resize);
  one.command->add_option("WORKERS", one.asked->text, "N, or MIN-MAX")->required();

  one = add_for_job(forge, "scale", "Say how many replicas an inference deployment has", scale);
  one.command->add_option("REPLICAS", one.asked->number, "Itself included")->required();

  add_for_job(forge, "restart", "Kill the workers of a job that hangs, and start them again",
              restart);

  one = add_for_job(forge, "move", "Say in which clusters a job may run; none: in all", move);
  one.command->add_option("CLUSTER", one.asked->words, "Their names");

  one = add(forge, "drain", "Move jobs off a node and give it no new ones",
            [](const Asked& asked) { drain(asked, "drain"); });
  one.command->add_option("NODE", one.asked->text, "Its name")->required();
  one = add(forge, "resume", "Let a drained node take jobs again",
            [](const Asked& asked) { drain(asked, "resume"); });
  one.command->add_option("NODE", one.asked->text, "Its name")->required();

  one = add(forge, "events", "What happened, in order", events);
  one.asked->number = 50;
  one.command->add_option("JOB", one.asked->job, "Only about this job");
  one.command->add_option("-n,--limit", one.asked->number, "The last so many")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  one.command->add_flag("-f,--follow", one.asked->flag, "Then wait for more");
}

}  // namespace hearth::apps
