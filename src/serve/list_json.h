// Lists and optional values as OpenAI writes them. For .cpp files of routes.
#pragma once

#include "io/json.h"
#include "serve/state/page.h"

namespace hearth::serve {

inline io::Json time_or_null(int64_t at_s) {
  return at_s == 0 ? io::Json(nullptr) : io::Json(at_s);
}

inline io::Json text_or_null(const std::string& text) {
  return text.empty() ? io::Json(nullptr) : io::Json(text);
}

template <typename T, typename ToJson>
io::Json list_json(const Listed<T>& listed, ToJson&& to_json) {
  io::Json data = io::Json::array();
  for (const T& entry : listed.entries) data.push_back(to_json(entry));
  const io::Json first = data.empty() ? io::Json(nullptr) : data.front()["id"];
  const io::Json last = data.empty() ? io::Json(nullptr) : data.back()["id"];
  return {{"object", "list"},
          {"data", std::move(data)},
          {"first_id", first},
          {"last_id", last},
          {"has_more", listed.has_more}};
}

}  // namespace hearth::serve
