#include "serve/reply_items.h"

#include <algorithm>
#include <utility>

namespace hearth::serve {

void ReplyItems::open(ReplyItem item) {
  finish();
  items_.push_back(std::move(item));
  open_ = true;
  listener_.on_item(items_.size() - 1, items_.back());
}

void ReplyItems::add(const ReplyPart& part) {
  using Kind = ReplyItem::Kind;
  if (part.kind == ReplyPart::Kind::kToolCall) {
    open({Kind::kCall, {}, {}, part.name, {}});
  } else if (part.kind != ReplyPart::Kind::kToolArguments) {
    const Kind kind = part.kind == ReplyPart::Kind::kReasoning ? Kind::kReasoning : Kind::kText;
    if (!open_ || items_.back().kind != kind) open({kind, {}, {}, {}, {}});
  }
  if (part.text.empty()) return;
  items_.back().text += part.text;
  listener_.on_growth(items_.size() - 1, items_.back(), part.text);
}

void ReplyItems::finish() {
  if (std::exchange(open_, false)) listener_.on_item_end(items_.size() - 1, items_.back());
}

bool ReplyItems::called_tools() const {
  return std::any_of(items_.begin(), items_.end(),
                     [](const ReplyItem& item) { return item.kind == ReplyItem::Kind::kCall; });
}

}  // namespace hearth::serve
