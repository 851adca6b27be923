// Holds a reply to one of several forms, whichever the model begins: a call of a tool or an answer
// of a format.
#pragma once

#include <memory>
#include <vector>

#include "engine/sampling.h"

namespace hearth::serve {

class EitherConstraint final : public engine::TokenConstraint {
 public:
  explicit EitherConstraint(std::vector<std::shared_ptr<engine::TokenConstraint>> forms);

  void fill(std::span<uint32_t> allowed) override;
  bool accept(engine::TokenId token) override;
  bool finished() const override;

 private:
  std::vector<std::shared_ptr<engine::TokenConstraint>> forms_;  // those that the tokens fit
};

}  // namespace hearth::serve
