// Values as bytes and back, for the store and for the wire between server and agents.
//
// A struct is its length and then its fields in the order of fields.h. A reader that knows more
// fields than were written leaves them at their defaults, one that knows fewer skips the rest: so
// fields may be added at the end of a struct, and nothing else may change. Integers are varints,
// negative ones zigzag.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "base/error.h"

namespace hearth::forge::codec {

class Writer {
 public:
  template <typename... Fields>
  void operator()(const Fields&... fields) {
    (put(fields), ...);
  }

  template <typename T>
  void put(const T& value) {
    if constexpr (std::is_enum_v<T> || std::is_integral_v<T>) {
      put_integer(static_cast<int64_t>(value));
    } else if constexpr (std::is_floating_point_v<T>) {
      char raw[sizeof(double)];
      const double wide = value;
      std::memcpy(raw, &wide, sizeof raw);
      out_.append(raw, sizeof raw);
    } else {
      put_struct(value);
    }
  }
  void put(const std::string& text) {
    put_integer(static_cast<int64_t>(text.size()));
    out_ += text;
  }
  template <typename T>
  void put(const std::vector<T>& list) {
    put_integer(static_cast<int64_t>(list.size()));
    for (const T& item : list) put(item);
  }
  template <typename K, typename V>
  void put(const std::map<K, V>& map) {
    put_integer(static_cast<int64_t>(map.size()));
    for (const auto& [key, value] : map) put(key), put(value);
  }
  template <typename T>
  void put(const std::shared_ptr<const T>& pointer) {
    put_integer(pointer != nullptr);
    if (pointer) put(*pointer);
  }
  template <typename... Ts>
  void put(const std::variant<Ts...>& value) {
    put_integer(static_cast<int64_t>(value.index()));
    std::visit([this](const auto& one) { put(one); }, value);
  }

  const std::string& bytes() const { return out_; }

 private:
  void put_integer(int64_t value) {
    auto raw = (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
    for (; raw >= 0x80; raw >>= 7) out_ += static_cast<char>(raw | 0x80);
    out_ += static_cast<char>(raw);
  }
  template <typename T>
  void put_struct(const T& value) {
    Writer inner;
    fields(inner, value);
    put(inner.out_);
  }

  std::string out_;
};

// Throws Error(kDataLoss) on bytes that no Writer wrote. Sizes are checked against what is left, so
// that damaged bytes cannot ask for much memory.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  // Fields that were not written keep their values.
  template <typename... Fields>
  void operator()(Fields&... values) {
    ((rest_.empty() ? void() : get(values)), ...);
  }

  template <typename T>
  void get(T& value) {
    if constexpr (std::is_enum_v<T> || std::is_integral_v<T>) {
      value = static_cast<T>(integer());
    } else if constexpr (std::is_floating_point_v<T>) {
      double wide = 0;
      std::memcpy(&wide, take(sizeof wide).data(), sizeof wide);
      value = static_cast<T>(wide);
    } else {
      Reader inner(take(size()));
      fields(inner, value);
    }
  }
  void get(std::string& text) { text = take(size()); }
  template <typename T>
  void get(std::vector<T>& list) {
    list.clear();
    for (size_t left = size(); left > 0; --left) get(list.emplace_back());
  }
  template <typename K, typename V>
  void get(std::map<K, V>& map) {
    map.clear();
    for (size_t left = size(); left > 0; --left) {
      K key{};
      get(key);
      get(map[key]);
    }
  }
  template <typename T>
  void get(std::shared_ptr<const T>& pointer) {
    pointer.reset();
    if (integer() == 0) return;
    auto value = std::make_shared<T>();
    get(*value);
    pointer = std::move(value);
  }
  template <typename... Ts>
  void get(std::variant<Ts...>& value) {
    const int64_t index = integer();
    using Make = std::variant<Ts...> (*)();
    static constexpr Make kMake[] = {[]() -> std::variant<Ts...> { return Ts{}; }...};
    if (index < 0 || index >= static_cast<int64_t>(sizeof...(Ts))) damaged();
    value = kMake[index]();
    std::visit([this](auto& one) { get(one); }, value);
  }

  bool done() const { return rest_.empty(); }

 private:
  [[noreturn]] static void damaged() {
    throw_error(ErrorCode::kDataLoss, "forge record", "the bytes are not what was written");
  }
  int64_t integer() {
    uint64_t raw = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1)[0]);
      raw |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return static_cast<int64_t>(raw >> 1) ^ -static_cast<int64_t>(raw & 1);
    }
    damaged();
  }
  // Of what follows: every item takes a byte at least.
  size_t size() {
    const int64_t value = integer();
    if (value < 0 || static_cast<uint64_t>(value) > rest_.size()) damaged();
    return static_cast<size_t>(value);
  }
  std::string_view take(size_t bytes) {
    if (bytes > rest_.size()) damaged();
    const std::string_view out = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return out;
  }

  std::string_view rest_;
};

}  // namespace hearth::forge::codec
