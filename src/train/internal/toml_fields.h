// Reads TOML into a struct whose fields a visitor lists: visit(section, key, field). Included by
// the .cpp files of configurations only, because toml++ is slow to compile.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <toml++/toml.h>
#include <type_traits>
#include <vector>

#include "base/error.h"

namespace hearth::train::internal {

// What a visit_fields() takes: its own configuration, to read or to write.
template <typename T, typename Config>
concept Is = std::same_as<std::remove_const_t<T>, Config>;

inline size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

inline std::string nearest(std::string_view key, const std::vector<std::string>& known) {
  return *std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
    return edit_distance(key, a) < edit_distance(key, b);
  });
}

// Every key of `root` must be one that `visit_fields` of Config lists.
template <typename Config, typename VisitFields>
void check_keys(const toml::table& root, const std::string& where,
                const VisitFields& visit_fields) {
  std::vector<std::string> sections;
  std::vector<std::string> keys;
  Config config;
  visit_fields(config, [&](const char* section, const char* key, auto&) {
    if (sections.empty() || sections.back() != section) sections.emplace_back(section);
    keys.push_back(std::string(section) + "." + key);
  });
  const auto unknown = [&](const std::string& key, const std::vector<std::string>& among) {
    throw_error(ErrorCode::kInvalidArgument, where, "unknown key '{}'; did you mean '{}'?", key,
                nearest(key, among));
  };
  for (const auto& [section, node] : root) {
    const std::string name(section.str());
    if (std::find(sections.begin(), sections.end(), name) == sections.end()) {
      unknown(name, sections);
    }
    if (!node.is_table()) {
      throw_error(ErrorCode::kInvalidArgument, where, "'{}' must be a section, [{}]", name, name);
    }
    for (const auto& [key, value] : *node.as_table()) {
      const std::string full = name + "." + std::string(key.str());
      if (std::find(keys.begin(), keys.end(), full) == keys.end()) unknown(full, keys);
    }
  }
}

template <typename T>
const char* type_name() {
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  if constexpr (std::is_same_v<T, int64_t>) return "a whole number";
  if constexpr (std::is_same_v<T, double>) return "a number";
  if constexpr (std::is_same_v<T, std::string>) return "a string";
  if constexpr (std::is_same_v<T, std::vector<int64_t>>) return "a list of whole numbers";
  return "a list of strings";
}

// Lists of one type of element.
template <typename Element>
bool read_list(const toml::node& node, std::vector<Element>& field) {
  if (!node.is_array()) return false;
  field.clear();
  for (const toml::node& item : *node.as_array()) {
    const auto value = item.value_exact<Element>();
    if (!value) return false;
    field.push_back(*value);
  }
  return true;
}

template <typename T>
bool read_value(const toml::node& node, T& field) {
  if constexpr (std::is_same_v<T, std::vector<std::string>> ||
                std::is_same_v<T, std::vector<int64_t>>) {
    return read_list(node, field);
  } else if constexpr (std::is_same_v<T, double>) {
    if (!node.is_number()) return false;
    field = *node.value<double>();
    return true;
  } else {
    const auto value = node.value_exact<T>();
    if (value) field = *value;
    return value.has_value();
  }
}

template <typename Config, typename VisitFields>
Config read_toml(std::string_view text, const std::string& where, const VisitFields& visit_fields) {
  toml::table root;
  try {
    root = toml::parse(text);
  } catch (const toml::parse_error& error) {
    throw_error(ErrorCode::kInvalidArgument, where, "not valid TOML at line {}: {}",
                error.source().begin.line, error.description());
  }
  check_keys<Config>(root, where, visit_fields);
  Config config;
  visit_fields(config, [&](const char* section, const char* key, auto& field) {
    const toml::node* node = root[section][key].node();
    if (node == nullptr || read_value(*node, field)) return;
    throw_error(ErrorCode::kInvalidArgument, where, "{}.{} must be {}", section, key,
                type_name<std::decay_t<decltype(field)>>());
  });
  return config;
}

template <typename Config, typename VisitFields>
std::string write_toml(const Config& config, const VisitFields& visit_fields) {
  toml::table root;
  visit_fields(config, [&](const char* section, const char* key, const auto& field) {
    if (!root.contains(section)) root.insert(section, toml::table{});
    toml::table& table = *root[section].as_table();
    using Field = std::decay_t<decltype(field)>;
    if constexpr (std::is_same_v<Field, std::vector<std::string>> ||
                  std::is_same_v<Field, std::vector<int64_t>>) {
      toml::array list;
      for (const auto& item : field) list.push_back(item);
      table.insert(key, std::move(list));
    } else {
      table.insert(key, field);
    }
  });
  std::ostringstream out;
  out << root << '\n';
  return out.str();
}

inline void require(bool holds, const std::string& where, const char* key, const char* what) {
  if (!holds) throw_error(ErrorCode::kInvalidArgument, where, "{} must be {}", key, what);
}

// Numbers as they are asked for again and again; TOML knows inf and nan.
inline void require_above_zero(double value, const std::string& where, const char* key) {
  require(std::isfinite(value) && value > 0, where, key, "a number above 0");
}
inline void require_zero_or_more(double value, const std::string& where, const char* key) {
  require(std::isfinite(value) && value >= 0, where, key, "a number from 0 on");
}
inline void require_share(double value, const std::string& where, const char* key) {
  require(value >= 0 && value <= 1, where, key, "from 0 to 1");
}
// Of a moving mean.
inline void require_memory(double value, const std::string& where, const char* key) {
  require(value >= 0 && value < 1, where, key, "in [0, 1)");
}
inline void require_threads(int64_t value, const std::string& where) {
  require(value >= 0 && value <= 1024, where, "run.threads", "from 0 (all cores) to 1024");
}

inline std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

// Relative paths of a file are taken from its folder.
inline void anchor(std::string& path, const std::string& folder) {
  if (!path.empty() && path.front() != '/' && !folder.empty()) path = folder + "/" + path;
}

}  // namespace hearth::train::internal
