// Ranks that a launcher of Open MPI (mpirun, srun) started, over libhearth_mpi.so, which lies
// beside the program or in ../lib/hearth and is loaded only then.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "train/mpi_abi.h"
#include "train/wire.h"

namespace hearth::train {

// Whether a launcher started this process as one of several ranks.
bool started_by_mpi();

class MpiWire final : public Wire {
 public:
  // Throws Error that says what to install when the plugin or Open MPI is missing.
  MpiWire(Nanos timeout, const Clock& clock);
  // Waits for the other ranks; after a failed exchange or abandon() it ends them, for MPI cannot go
  // on without one.
  ~MpiWire() override;
  MpiWire(const MpiWire&) = delete;
  MpiWire& operator=(const MpiWire&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int neighbours() const { return neighbours_; }  // ranks on this machine, this one included
  void abandon() { broken_ = true; }
  void exchange(std::span<const Outgoing> out, std::span<const Incoming> in,
                std::string_view what) override;

 private:
  const HearthMpi* mpi_;
  Nanos timeout_;
  const Clock& clock_;
  int rank_ = 0, size_ = 1, neighbours_ = 1;
  bool broken_ = false;
  std::vector<RankName> names_;
  std::string last_;  // what all ranks were last heard in
  Nanos heard_ = 0;
};

}  // namespace hearth::train
