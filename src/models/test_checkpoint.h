// Tiny checkpoints for tests: a config and weights made from tensor names by a formula, so that
// what transformers computed for the same ones (tests/golden/families.json, tools/goldens/make.py)
// can be compared without storing a weight.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/file_source.h"
#include "io/json_fwd.h"
#include "models/model.h"

namespace hearth::models {

class TestCheckpoint {
 public:
  // One entry of families.json.
  explicit TestCheckpoint(const io::Json& golden);
  TestCheckpoint(TestCheckpoint&&) noexcept;
  ~TestCheckpoint();

  const std::string& name() const { return name_; }
  // The text that was computed.
  std::vector<int32_t> tokens() const;
  // position -> logits [vocabulary].
  std::map<int64_t, std::vector<float>> logits() const;
  // What the goldens were computed for.
  LoadOptions options() const;
  io::MemoryFiles files() const;

 private:
  std::string name_;
  std::unique_ptr<const io::Json> golden_;
  std::string config_;
  std::string weights_;
};

// All cases of tests/golden/families.json in the source tree, or the one of that name.
std::vector<TestCheckpoint> test_checkpoints(const std::string& source_dir);
TestCheckpoint test_checkpoint(const std::string& source_dir, const std::string& name);

}  // namespace hearth::models
