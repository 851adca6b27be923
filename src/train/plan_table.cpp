#include "train/plan_table.h"

#include <fmt/format.h>
#include <functional>
#include <optional>

#include "io/json.h"

namespace hearth::train {
namespace {

constexpr int kNameWidth = 28;
constexpr int kColumnWidth = 24;
constexpr Split kSplits[] = {Split::kZero0, Split::kZero1, Split::kZero2, Split::kZero3,
                             Split::kModel};

const char* explain(Split split) {
  switch (split) {
    case Split::kZero0:
      return "data";
    case Split::kZero1:
      return "data, optimizer";
    case Split::kZero2:
      return "... and gradients";
    case Split::kZero3:
      return "... and weights";
    case Split::kModel:
      return "everything";
  }
  return "?";
}

std::string scaled(double value, const char* const* units, size_t count) {
  size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < count; ++unit) value /= 1000;
  if (unit == 0) return fmt::format("{:.0f}{}", value, units[0]);
  return value >= 99.95   ? fmt::format("{:.0f}{}", value, units[unit])
         : value >= 9.995 ? fmt::format("{:.1f}{}", value, units[unit])
                          : fmt::format("{:.2f}{}", value, units[unit]);
}

struct Column {
  const PlanColumn* source;
  TrainPlan plan;
};

using Cell = std::function<std::string(const Column&)>;

std::string row(const std::string& name, const std::vector<Column>& columns, const Cell& cell) {
  std::string line = fmt::format("  {:<{}}", name, kNameWidth);
  for (const Column& column : columns) line += fmt::format("{:>{}}", cell(column), kColumnWidth);
  return line + "\n";
}

// "gradients, 2 B each": of a trained parameter, the same in every column.
std::string piece_name(const char* name, const std::vector<Column>& columns,
                       double ParameterBytes::*bytes) {
  const double first = columns.front().source->request.bytes.*bytes;
  return fmt::format("{}, {:g} B each", name, first);
}

struct Devices {
  DeviceCount count;
  MemoryPieces each;
};

std::optional<Devices> devices_of(const Column& column, Split split, const DeviceFleet& fleet) {
  std::optional<DeviceCount> count;
  if (fleet.devices > 0) {
    count = DeviceCount{fleet.devices, fleet.devices};
  } else {
    count = devices_needed(column.plan, split, fleet.bytes, fleet.per_node);
  }
  if (!count) return std::nullopt;
  return Devices{*count, on_device(column.plan, split, count->whole)};
}

std::string devices_text(const Column& column, Split split, const DeviceFleet& fleet) {
  const auto devices = devices_of(column, split, fleet);
  if (!devices) return "never fit";
  const double each = devices->each.total();
  const char* over = each > fleet.bytes ? ", too much" : "";
  return fmt::format("{} x {}{}", devices->count.whole, bytes_text(each), over);
}

std::string share_text(const Column& column, Split split, const DeviceFleet& fleet) {
  const auto devices = devices_of(column, split, fleet);
  if (!devices) return "-";
  return fmt::format("{:.0f} %", 100 * devices->each.activations / fleet.bytes);
}

std::string header(const PlanRequest& request) {
  const PlanModel& m = request.model;
  std::string text = fmt::format("{}: {} parameters", m.name, count_text(parameters_of(m)));
  if (m.layers > 0) {
    text += fmt::format(", {} layers of width {}, vocabulary {}", m.layers, m.hidden, m.vocabulary);
  }
  if (request.tokens == 0) return text + "; activations left out\n\n";
  const char* kept = request.kept == KeptActivations::kAll
                         ? "all activations kept but the attention matrix"
                         : "inputs of blocks kept, the rest computed again";
  return text + fmt::format("\n{} tokens in flight (ZeRO: on each device; model: in all), {}\n\n",
                            request.tokens, kept);
}

std::string pieces_rows(const std::vector<Column>& columns) {
  const auto bytes = [](double MemoryPieces::*piece) {
    return [piece](const Column& c) { return bytes_text(c.plan.pieces.*piece); };
  };
  std::string text;
  text += row("weights", columns, bytes(&MemoryPieces::weights));
  text += row(piece_name("gradients", columns, &ParameterBytes::gradients), columns,
              bytes(&MemoryPieces::gradients));
  text += row(piece_name("master copy", columns, &ParameterBytes::master), columns,
              bytes(&MemoryPieces::master));
  text += row(piece_name("Adam's moments", columns, &ParameterBytes::moments), columns,
              bytes(&MemoryPieces::moments));
  text += row("activations", columns, bytes(&MemoryPieces::activations));
  text += row("logits", columns, bytes(&MemoryPieces::logits));
  text += row("in all", columns, [](const Column& c) { return bytes_text(c.plan.pieces.total()); });
  return text;
}

std::vector<Column> plans_of(const std::vector<PlanColumn>& columns) {
  std::vector<Column> plans;
  for (const PlanColumn& column : columns)
    plans.push_back({&column, plan_training(column.request)});
  return plans;
}

io::Json pieces_json(const MemoryPieces& p) {
  return {{"weights", p.weights}, {"gradients", p.gradients},     {"master", p.master},
          {"moments", p.moments}, {"activations", p.activations}, {"logits", p.logits},
          {"total", p.total()}};
}

}  // namespace

std::string bytes_text(double bytes) {
  constexpr const char* kUnits[] = {" B", " kB", " MB", " GB", " TB", " PB"};
  return scaled(bytes, kUnits, std::size(kUnits));
}

std::string count_text(int64_t count) {
  constexpr const char* kUnits[] = {"", " k", " M", " B", " T"};
  return scaled(static_cast<double>(count), kUnits, std::size(kUnits));
}

std::string plan_table(const std::vector<PlanColumn>& requests, const DeviceFleet& fleet) {
  const std::vector<Column> columns = plans_of(requests);
  std::string text = header(requests.front().request);
  text += row("", columns, [](const Column& c) { return c.source->title; });
  text += row("trained parameters", columns,
              [](const Column& c) { return count_text(c.plan.trained); });
  text += pieces_rows(columns);
  text += row("checkpoint of the result", columns,
              [](const Column& c) { return bytes_text(c.plan.checkpoint); });
  text += row("checkpoint to go on from", columns,
              [](const Column& c) { return bytes_text(c.plan.resume); });
  text += fmt::format("\n  devices of {:g} GB, {} a node{}\n", fleet.bytes / 1e9, fleet.per_node,
                      fleet.devices > 0 ? fmt::format(": what each of {} holds", fleet.devices)
                                        : std::string(": the fewest, and what each holds"));
  for (Split split : kSplits) {
    text += row(fmt::format("{:<8}{}", to_string(split), explain(split)), columns,
                [&](const Column& c) { return devices_text(c, split, fleet); });
  }
  return text + row("        activations' share", columns,
                    [&](const Column& c) { return share_text(c, Split::kModel, fleet); });
}

io::Json plan_json(const std::vector<PlanColumn>& requests, const DeviceFleet& fleet) {
  io::Json list = io::Json::array();
  for (const Column& column : plans_of(requests)) {
    io::Json splits = io::Json::object();
    for (Split split : kSplits) {
      const auto devices = devices_of(column, split, fleet);
      if (!devices) {
        splits[to_string(split)] = nullptr;
        continue;
      }
      splits[to_string(split)] = {{"devices_least", devices->count.least},
                                  {"devices", devices->count.whole},
                                  {"each", pieces_json(devices->each)}};
    }
    list.push_back({{"method", column.source->title},
                    {"parameters", column.plan.parameters},
                    {"trained", column.plan.trained},
                    {"tokens", column.source->request.tokens},
                    {"bytes", pieces_json(column.plan.pieces)},
                    {"checkpoint_bytes", column.plan.checkpoint},
                    {"resume_bytes", column.plan.resume},
                    {"splits", splits}});
  }
  return {{"model", requests.front().request.model.name},
          {"device_bytes", fleet.bytes},
          {"devices_per_node", fleet.per_node},
          {"plans", list}};
}

}  // namespace hearth::train
