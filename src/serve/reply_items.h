// A reply as a list of items, one after another: reasoning, text, calls. Messages and responses
// both tell replies this way.
#pragma once

#include <string>
#include <vector>

#include "serve/language.h"

namespace hearth::serve {

struct ReplyItem {
  enum class Kind { kReasoning, kText, kCall };
  Kind kind = Kind::kText;
  std::string id;       // of the item
  std::string call_id;  // kCall
  std::string name;     // kCall
  std::string text;     // or the arguments
};

// Hears how items begin, grow and end; `index` counts from 0.
class ItemListener {
 public:
  virtual ~ItemListener() = default;
  virtual void on_item(size_t index, ReplyItem& item) = 0;  // may fill in the ids
  virtual void on_growth(size_t index, const ReplyItem& item, const std::string& more) = 0;
  virtual void on_item_end(size_t index, const ReplyItem& item) = 0;
};

class ReplyItems {
 public:
  explicit ReplyItems(ItemListener& listener) : listener_(listener) {}
  void add(const ReplyPart& part);
  // Ends the item that is open.
  void finish();
  const std::vector<ReplyItem>& items() const { return items_; }
  bool called_tools() const;

 private:
  void open(ReplyItem item);

  ItemListener& listener_;
  std::vector<ReplyItem> items_;
  bool open_ = false;
};

}  // namespace hearth::serve
