#include "forge/replicas/pool.h"

#include <gtest/gtest.h>

#include "forge/replicas/router.h"

namespace hearth::forge {
namespace {

TEST(ReplicaPool, TheOneWithTheLeastToDoIsNext) {
  ReplicaPool pool;
  pool.update({{.job = 1, .url = "a", .ready = true}, {.job = 2, .url = "b", .ready = true}});
  std::string url;
  EXPECT_EQ(pool.take({}, url), 1);
  EXPECT_EQ(pool.take({}, url), 2);
  EXPECT_EQ(url, "b");
  pool.give_back(2);
  EXPECT_EQ(pool.take({}, url), 2);
  EXPECT_EQ(pool.take({2}, url), 1);
  EXPECT_EQ(pool.take({1, 2}, url), -1);
}

TEST(ReplicaPool, WhatBrokeGetsNothingUntilItIsSeenReady) {
  ReplicaPool pool;
  pool.update({{.job = 1, .url = "a", .ready = true}});
  std::string url;
  EXPECT_EQ(pool.take({}, url), 1);
  pool.distrust(1);
  EXPECT_EQ(pool.take({}, url), -1);
  pool.update({{.job = 1, .url = "a", .ready = true}});
  EXPECT_EQ(pool.list().at(0).ours, 1);  // what it has is not forgotten
  pool.update({});
  EXPECT_EQ(pool.take({}, url), -1);
  pool.give_back(1);
}

TEST(Metrics, AValueIsFoundWithAndWithoutLabels) {
  const std::string text =
      "# HELP hearth:num_requests_waiting x\n"
      "hearth:num_requests_waiting{model_name=\"a\"} 3\n"
      "hearth:num_requests_waiting{model_name=\"b\"} 4\n"
      "hearth:num_requests_waiting_by_reason{reason=\"x\"} 9\n"
      "hearth:ptu_capacity 12.5\n";
  EXPECT_EQ(metric_of(text, "hearth:num_requests_waiting"), 7);
  EXPECT_EQ(metric_of(text, "hearth:ptu_capacity"), 12.5);
  EXPECT_EQ(metric_of(text, "hearth:none"), 0);
}

}  // namespace
}  // namespace hearth::forge
