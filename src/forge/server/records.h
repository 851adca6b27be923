// What the history of a server is made of, as bytes: one shape for every store.
#pragma once

#include <string>
#include <vector>

#include "forge/codec/binary.h"
#include "forge/codec/fields.h"
#include "forge/server/store.h"

namespace hearth::forge {

// A note as it is kept.
struct Record {
  int64_t number = 0;
  Note note;
  std::string devices;  // of the workers whose start the note is about: "0,1"; else empty
};

template <typename A, Is<Sample> T>
void fields(A& a, T& v) {
  a(v.at, v.devices, v.busy_milli, v.running, v.waiting, v.vc_milli);
}
template <typename A, Is<Record> T>
void fields(A& a, T& v) {
  a(v.number, v.note, v.devices);
}

// The notes of a turn; the first of them gets the number `first`.
std::vector<Record> records_of(const Scheduler& scheduler, const std::vector<Note>& notes,
                               int64_t first);

template <typename T>
std::string pack(const T& value) {
  codec::Writer out;
  out.put(value);
  return out.bytes();
}

template <typename T>
T unpack(std::string_view bytes) {
  T value{};
  codec::Reader(bytes).get(value);
  return value;
}

}  // namespace hearth::forge
