// What the server shows of its state, as JSON: for the command line, for a page, for anybody's
// scripts. Pure functions of the scheduler and its history.
#pragma once

#include "forge/server/store.h"
#include "io/json_fwd.h"

namespace hearth::forge {

// One line of a list of jobs, and all there is to one.
io::Json job_line(const Scheduler& scheduler, const Job& job);
io::Json job_view(const Scheduler& scheduler, const Job& job);
io::Json replicas_view(const Scheduler& scheduler, JobId deployment);
io::Json explain_view(const Scheduler& scheduler, JobId job);

// The fleet at this moment: lists, nodes with what runs on each device, virtual clusters with what
// they use, totals. Enough for a heat map.
io::Json state_view(const Scheduler& scheduler);

// Who ran where and when, and devices in use over time.
io::Json timeline_view(const Scheduler& scheduler, const std::vector<Span>& spans,
                       const std::vector<Sample>& samples);

io::Json note_view(const Scheduler& scheduler, const NumberedNote& note);

// In the text format of Prometheus.
std::string metrics_text(const Scheduler& scheduler);

// `count` nodes of the same cluster that are up and have a door for it (agent/link_door.h),
// counted on from the `from`-th: the ways to them are to be tried.
io::Json peers_view(const Scheduler& scheduler, NodeId node, int64_t from, int count);

}  // namespace hearth::forge
