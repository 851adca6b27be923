// What `hearth train` and `hearth tune` exit with besides 0 (done) and 1 (an error), for whoever
// started them.
#pragma once

namespace hearth::apps {

// A signal asked it to stop: a checkpoint is written, and the same command goes on from there.
constexpr int kExitStopped = 3;
// It ended because another rank was lost: the same command goes on from the last checkpoint.
constexpr int kExitRankLost = 75;

}  // namespace hearth::apps
