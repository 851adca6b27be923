#include "forge/agent/worker_process.h"

#include <gmock/gmock.h>

namespace hearth::forge {
namespace {

using testing::Contains;
using testing::ElementsAre;

RunOrder order_of(std::vector<std::string> command) {
  RunOrder order;
  order.node = "n1";
  order.start = {0, 9, 4, 2, {{0, 1, 1000}, {0, 3, 1000}}, 6, 8, "10.0.0.1", {}};
  order.start.program = std::make_shared<Program>(
      Program{.command = std::move(command), .environment = {"HEARTH_NODE=mine", "A=b=c"}});
  order.device_variable = "CUDA_VISIBLE_DEVICES";
  order.home = "5eed";
  return order;
}

TEST(WorkerProcess, PlaceholdersAreFilledInWhereverTheyStand) {
  const RunOrder order =
      order_of({"run", "--rank={rank}/{world}", "{workers}", "{devices},{rank}"});
  EXPECT_THAT(worker_command(order, 7, {&order.start.slots[1], 1}),
              ElementsAre("run", "--rank=7/8", "1", "3,7"));
  EXPECT_THAT(worker_command(order, 6, order.start.slots),
              ElementsAre("run", "--rank=6/8", "2", "1,3,6"));
}

TEST(WorkerProcess, AWorkerKnowsItsPlaceAndItsToken) {
  const RunOrder order = order_of({"x"});
  const auto environment = worker_environment(order, 7, {&order.start.slots[1], 1});
  for (const char* entry :
       {"HEARTH_JOB=4", "HEARTH_EPOCH=2", "HEARTH_FENCE=5eed.4.2.9", "HEARTH_RANK=7",
        "HEARTH_WORLD_SIZE=8", "HEARTH_LOCAL_RANK=1", "HEARTH_LOCAL_WORKERS=2", "HEARTH_WORKERS=1",
        "HEARTH_DEVICES=3", "CUDA_VISIBLE_DEVICES=3", "HEARTH_MEET_AT=10.0.0.1", "A=b=c"}) {
    EXPECT_THAT(environment, Contains(entry));
  }
}

}  // namespace
}  // namespace hearth::forge
