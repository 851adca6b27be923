#include "forge/server/api.h"

#include <algorithm>

#include "forge/codec/messages.h"
#include "forge/core/names.h"
#include "forge/server/answers.h"
#include "forge/server/job_json.h"
#include "forge/server/views.h"
#include "io/json.h"

namespace hearth::forge {

using io::Json;

namespace {

constexpr int kListMax = 10'000;
constexpr int kPeersMax = 16;
constexpr size_t kLogPartBytes = size_t{1} << 20;

NodeId known_node(const Scheduler& scheduler, const std::string& name) {
  const NodeId id = scheduler.node_named(name);
  if (id < 0)
    throw_error(ErrorCode::kNotFound, "node", "no node '{}': no agent of that name came", name);
  return id;
}

}  // namespace

void Api::handle(const Exchange& exchange) {
  guarded(*exchange, [&] {
    const transport::HttpRequest& request = exchange->request();
    if (request.path == "/metrics") {
      return loop_.post([this, exchange](auto&) {
        exchange->respond({200,
                           {{"Content-Type", "text/plain; version=0.0.4"}},
                           metrics_text(loop_.control().scheduler())});
      });
    }
    Words words = words_of(request.path);
    if (words.size() < 3 || words[0] != "v1" || words[1] != "forge")
      throw_error(ErrorCode::kNotFound, request.path, "no such route; they begin with /v1/forge/");
    words.erase(words.begin(), words.begin() + 2);
    route(exchange, words);
  });
}

void Api::route(const Exchange& exchange, const Words& words) {
  if (route_jobs(exchange, words) || route_nodes(exchange, words) || route_past(exchange, words) ||
      route_agents(exchange, words)) {
    return;
  }
  throw_error(ErrorCode::kNotFound, exchange->request().path, "no such route for {}",
              exchange->request().method);
}

void Api::answer(const Exchange& exchange, const std::function<Json()>& view) {
  loop_.post([exchange, view](auto&) {
    guarded(*exchange, [&] { exchange->respond(json_response(200, view())); });
  });
}

void Api::change(const Exchange& exchange, std::function<Event()> make) {
  loop_.post([this, exchange, make = std::move(make)](std::vector<Request>& requests) {
    guarded(*exchange, [&] {
      Event event = make();
      const JobId about = std::visit(
          [](const auto& e) -> JobId {
            if constexpr (requires { e.job; }) return e.job;
            return -1;
          },
          event);
      requests.push_back(
          {std::move(event), [this, exchange, about](JobId submitted, const auto& refused) {
             if (refused) return exchange->respond(refusal_response(refused->code, refused->text));
             const JobId id = submitted >= 0 ? submitted : about;
             if (id < 0) return exchange->respond(json_response(200, Json::object()));
             const Scheduler& scheduler = loop_.control().scheduler();
             exchange->respond(json_response(200, job_line(scheduler, scheduler.job(id))));
           }});
    });
  });
}

bool Api::route_jobs(const Exchange& exchange, const Words& words) {
  if (words[0] != "jobs" || words.size() > 3) return false;
  const bool post = exchange->request().method == "POST";
  const bool get = exchange->request().method == "GET";
  if (words.size() == 1)
    return post ? (submit(exchange), true) : get && (list_jobs(exchange), true);
  const JobId id = job_number(words[1]);
  const std::string verb = words.size() == 3 ? words[2] : "";
  const auto scheduler = [this]() -> const Scheduler& { return loop_.control().scheduler(); };
  if (get && verb.empty()) {
    answer(exchange, [=] { return job_view(scheduler(), scheduler().job(id)); });
  } else if (get && verb == "replicas") {
    answer(exchange, [=] { return replicas_view(scheduler(), id); });
  } else if (get && verb == "explain") {
    answer(exchange, [=] { return explain_view(scheduler(), id); });
  } else if (get && verb == "logs") {
    send_log(exchange, id);
  } else if (post && verb == "cancel") {
    change(exchange, [id] { return Cancel{id}; });
  } else if (post && verb == "resize") {
    resize(exchange, id);
  } else if (post && verb == "scale") {
    scale(exchange, id);
  } else if (post && verb == "move") {
    move(exchange, id);
  } else if (post && verb == "restart") {
    restart(exchange, id);
  } else {
    return false;
  }
  return true;
}

void Api::submit(const Exchange& exchange) {
  const auto body = std::make_shared<Json>(io::parse_json(exchange->take_body(), "job"));
  change(exchange,
         [this, body] { return Submit{job_from_json(*body, loop_.control().scheduler().spec())}; });
}

// Newest first, from `before` down. state: active (the default), all, or one state's name.
void Api::list_jobs(const Exchange& exchange) {
  const transport::HttpRequest& request = exchange->request();
  const std::string state = transport::query_value(request.query, "state").value_or("active");
  const int64_t limit = std::min<int64_t>(query_number(request, "limit", 1'000), kListMax);
  const int64_t before = query_number(request, "before", INT32_MAX);
  answer(exchange, [=, this] {
    const Scheduler& scheduler = loop_.control().scheduler();
    Json list = Json::array();
    const auto take = [&](const Job& job) {
      const bool wanted =
          state == "all" || (state == "active" && !job.over()) || state == to_string(job.state);
      if (wanted && job.id < before) list.push_back(job_line(scheduler, job));
      return static_cast<int64_t>(list.size()) < limit;
    };
    for (auto job = scheduler.jobs().rbegin(); job != scheduler.jobs().rend() && take(*job);
         ++job) {
    }
    return Json{{"now", scheduler.now()}, {"total", scheduler.jobs().size()}, {"jobs", list}};
  });
}

void Api::resize(const Exchange& exchange, JobId job) {
  const Json body = io::parse_json(exchange->take_body(), "resize");
  Resize event{job, io::json_require<int32_t>(body, "min", "resize"), 0};
  event.max_workers = io::json_get(body, "max", event.min_workers, "resize");
  change(exchange, [event] { return event; });
}

void Api::scale(const Exchange& exchange, JobId job) {
  const Json body = io::parse_json(exchange->take_body(), "scale");
  const Scale event{job, io::json_require<int32_t>(body, "replicas", "scale")};
  change(exchange, [event] { return event; });
}

void Api::move(const Exchange& exchange, JobId job) {
  const Json body = io::parse_json(exchange->take_body(), "move");
  const auto names = io::json_require<std::vector<std::string>>(body, "clusters", "move");
  change(exchange, [this, job, names] {
    Move event{job, {}};
    for (const std::string& name : names) {
      event.clusters.push_back(
          index_of(loop_.control().scheduler().spec().clusters, name, "clusters"));
    }
    return event;
  });
}

// `epoch`: the run that is meant; without it, the one of now.
void Api::restart(const Exchange& exchange, JobId job) {
  const Json body = io::parse_json(exchange->take_body(), "restart");
  const auto epoch = io::json_get<Epoch>(body, "epoch", -1, "restart");
  change(exchange, [this, job, epoch] {
    return Restart{job, epoch < 0 ? loop_.control().scheduler().job(job).epoch : epoch};
  });
}

// A part of the log of one process. The headers say where to go on, and whether more can come.
void Api::send_log(const Exchange& exchange, JobId job) {
  const transport::HttpRequest& request = exchange->request();
  LogKey key{job, query_number(request, "epoch", -1),
             static_cast<int32_t>(query_number(request, "rank", 0))};
  int64_t offset = query_number(request, "offset", 0);
  loop_.post([=, this](auto&) mutable {
    guarded(*exchange, [&] {
      const Job& known = loop_.control().scheduler().job(job);
      const std::vector<Epoch> epochs = logs_.epochs(job, key.rank);
      if (key.epoch < 0 && !epochs.empty()) key.epoch = epochs.front();
      std::string part = logs_.read(key, offset, kLogPartBytes);
      const auto next = std::upper_bound(epochs.begin(), epochs.end(), key.epoch);
      if (part.empty() && next != epochs.end()) {
        key.epoch = *next, offset = 0;
        part = logs_.read(key, 0, kLogPartBytes);
      }
      offset += static_cast<int64_t>(part.size());
      exchange->respond({200,
                         {{"Content-Type", "text/plain; charset=utf-8"},
                          {"Forge-Epoch", std::to_string(key.epoch)},
                          {"Forge-Offset", std::to_string(offset)},
                          {"Forge-State", to_string(known.state)}},
                         std::move(part)});
    });
  });
}

bool Api::route_nodes(const Exchange& exchange, const Words& words) {
  const std::string& method = exchange->request().method;
  if (words[0] == "state" && words.size() == 1 && method == "GET") {
    answer(exchange, [this] { return state_view(loop_.control().scheduler()); });
    return true;
  }
  if (words[0] != "nodes" || words.size() != 3 || method != "POST") return false;
  if (words[2] != "drain" && words[2] != "resume") return false;
  const std::string name = words[1];
  const bool drains = words[2] == "drain";
  change(exchange, [this, name, drains]() -> Event {
    const NodeId id = known_node(loop_.control().scheduler(), name);
    if (drains) return Drain{id};
    return Undrain{id};
  });
  return true;
}

bool Api::route_past(const Exchange& exchange, const Words& words) {
  if (words.size() != 1 || exchange->request().method != "GET") return false;
  if (words[0] == "timeline") return timeline(exchange), true;
  if (words[0] == "events") return notes(exchange), true;
  return false;
}

void Api::timeline(const Exchange& exchange) {
  const transport::HttpRequest& request = exchange->request();
  const Millis from = query_number(request, "from", 0);
  const Millis until = query_number(request, "until", INT64_MAX / 2);
  answer(exchange, [=, this] {
    return timeline_view(loop_.control().scheduler(), loop_.history().spans(from, until, kListMax),
                         loop_.history().samples(from, until));
  });
}

void Api::notes(const Exchange& exchange) {
  const transport::HttpRequest& request = exchange->request();
  const int64_t after = query_number(request, "after", -1);
  const auto job = static_cast<JobId>(query_number(request, "job", -1));
  const auto limit =
      static_cast<int>(std::min<int64_t>(query_number(request, "limit", 100), kListMax));
  if (query_number(request, "follow", 0) != 0) {
    return loop_.post([=, this](auto&) { loop_.follow_notes(after, exchange); });
  }
  answer(exchange, [=, this] {
    Json list = Json::array();
    for (const NumberedNote& note : loop_.history().notes(after, job, limit))
      list.push_back(note_view(loop_.control().scheduler(), note));
    return Json{{"events", list}};
  });
}

bool Api::route_agents(const Exchange& exchange, const Words& words) {
  if (words[0] != "agents" || words.size() < 2 || words.size() > 3) return false;
  const std::string& method = exchange->request().method;
  if (words.size() == 2)
    return method == "POST" && words[1] == "commands" && (stream_commands(exchange), true);
  const std::string name = words[1];
  if (method == "POST" && words[2] == "enroll") {
    enroll(exchange, name);
  } else if (method == "GET" && words[2] == "peers") {
    const int64_t from = query_number(exchange->request(), "from", 0);
    const int64_t count = query_number(exchange->request(), "count", 1);
    answer(exchange, [this, name, from, count] {
      const Scheduler& scheduler = loop_.control().scheduler();
      return peers_view(scheduler, known_node(scheduler, name), from,
                        static_cast<int>(std::min<int64_t>(count, kPeersMax)));
    });
  } else if (method == "POST" && words[2] == "events") {
    const auto events =
        std::make_shared<std::vector<Event>>(codec::decode_events(exchange->take_body()));
    loop_.post([exchange, events](std::vector<Request>& requests) {
      for (Event& event : *events) requests.push_back({std::move(event), {}});
      // Nothing is promised: an agent repeats what was not acknowledged.
      exchange->respond({204, {}, ""});
    });
  } else {
    return false;
  }
  return true;
}

// A program may be the agent of many nodes.
void Api::stream_commands(const Exchange& exchange) {
  const Json body = io::parse_json(exchange->take_body(), "commands");
  const auto names = io::json_require<std::vector<std::string>>(body, "nodes", "commands");
  loop_.post([this, exchange, names](auto&) {
    guarded(*exchange, [&] {
      std::vector<NodeId> nodes;
      for (const std::string& name : names)
        nodes.push_back(known_node(loop_.control().scheduler(), name));
      loop_.connect_agents(nodes, exchange);
    });
  });
}

void Api::enroll(const Exchange& exchange, const std::string& name) {
  const auto body = std::make_shared<Json>(io::parse_json(exchange->take_body(), "enroll"));
  loop_.post([=, this](std::vector<Request>& requests) {
    guarded(*exchange, [&] {
      const FleetSpec& spec = loop_.control().scheduler().spec();
      Node node{name,
                0,
                0,
                io::json_require<int32_t>(*body, "devices", "enroll"),
                io::json_get(*body, "address", std::string(), "enroll"),
                io::json_get(*body, "link_port", 0, "enroll")};
      const auto cluster = io::json_get(*body, "cluster", std::string(), "enroll");
      const auto kind = io::json_get(*body, "kind", std::string(), "enroll");
      if (!cluster.empty()) node.cluster = index_of(spec.clusters, cluster, "cluster");
      if (!kind.empty()) node.kind = index_of(spec.kinds, kind, "kind");
      requests.push_back(
          {Enroll{node}, [this, exchange, name](JobId, const auto& refused) {
             if (refused) return exchange->respond(refusal_response(refused->code, refused->text));
             const LeaseTerms& terms = loop_.control().terms();
             exchange->respond(
                 json_response(200, {{"node", loop_.control().scheduler().node_named(name)},
                                     {"lease_ms", terms.lease_ms},
                                     {"fence_ms", terms.fence_ms},
                                     {"heartbeat_ms", terms.heartbeat_ms}}));
           }});
    });
  });
}

}  // namespace hearth::forge
