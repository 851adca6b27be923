#include "serve/either_constraint.h"

#include <algorithm>
#include <utility>

namespace hearth::serve {

EitherConstraint::EitherConstraint(std::vector<std::shared_ptr<engine::TokenConstraint>> forms)
    : forms_(std::move(forms)) {}

void EitherConstraint::fill(std::span<uint32_t> allowed) {
  forms_.front()->fill(allowed);
  std::vector<uint32_t> more(allowed.size());
  for (size_t i = 1; i < forms_.size(); ++i) {
    forms_[i]->fill(more);
    for (size_t word = 0; word < allowed.size(); ++word) allowed[word] |= more[word];
  }
}

bool EitherConstraint::accept(engine::TokenId token) {
  std::vector<std::shared_ptr<engine::TokenConstraint>> fitting;
  for (auto& form : forms_) {
    if (form->accept(token)) fitting.push_back(form);
  }
  if (fitting.empty()) return false;
  forms_ = std::move(fitting);
  return true;
}

bool EitherConstraint::finished() const {
  return std::all_of(forms_.begin(), forms_.end(),
                     [](const auto& form) { return form->finished(); });
}

}  // namespace hearth::serve
