// What hardware like this node's was seen to do when it was well: figures that a node is compared
// with later. They are learnt from the first rounds of checks, or come from another node's file.
// A file of lines, "HARDWARE | NAME | VALUE VALUE ...", which may be edited and copied.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "forge/core/health.h"

namespace hearth::forge {

class Baselines {
 public:
  // A file that is not there yet is empty. `hardware`: lines of other hardware are kept as they
  // are.
  Baselines(std::string path, std::string hardware);

  // More is better. The first values are learnt; a later one is good from a part of their median
  // on. A fifth: other work on the node takes its share, too.
  CheckResult judge(const std::string& name, double value, const std::string& unit,
                    double part_min = 0.2);

 private:
  void save() const;

  std::string path_;
  std::string hardware_;
  std::map<std::pair<std::string, std::string>, std::vector<double>> known_;
};

// The processor's name and how many there are.
std::string hardware_name();

}  // namespace hearth::forge
