// Times kernels and writes a line for each: a table to read, or JSON.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace hearth::apps {

class KernelReport {
 public:
  enum class Unit { kGBytes, kGFlops, kGOps };  // a second
  enum class Form { kTable, kJson };

  // Prints the head of a table. `filter`: see wants().
  KernelReport(std::string filter, int threads, Form form);

  // Whether the name of a kernel contains the filter.
  bool wants(std::string_view kernel) const;
  int threads() const { return threads_; }

  // The best of several runs in the time that a measurement takes, in seconds.
  double best_seconds(const std::function<void()>& run) const;

  // `amount`: bytes or operations of a run. `limit`: the rate at best, in units; 0: there is none.
  void line(const std::string& name, double seconds, double amount, Unit unit, double limit) const;

 private:
  const std::string filter_;
  const int threads_;
  const Form form_;
};

}  // namespace hearth::apps
