// Shares devices out among jobs whose rates are known, in the manner of Sia (Jayaram Subramanya et
// al. 2023): each job's rate, relative to its rate on one worker of its slowest kind, counts with a
// concave utility, and a change must pay for its restart. Where Sia solves an integer programme,
// its dual's prices by kind of device are found here, the best buys are made in turn, and then
// pairs of jobs exchange devices as long as both together gain.
#pragma once

#include "forge/core/planner.h"

namespace hearth::forge {

// Only jobs with rates and a whole device a worker take part; the others keep what they have.
void share_out(Planner& planner);

// For these jobs alone, which have a place: each keeps its fewest workers at least, and where a
// move finds no room nothing changes. Here a job counts the more the less it has left to do in
// comparison with the others, and a change must pay for itself before the job ends.
void share_out_among(Planner& planner, const std::vector<JobId>& jobs);

}  // namespace hearth::forge
