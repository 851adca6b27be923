#include "forge/codec/messages.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "forge/codec/binary.h"
#include "forge/codec/fields.h"

namespace hearth::forge::codec {

namespace older {
// A struct as an earlier program wrote it, and as a later one will.
struct Short {
  int32_t a = 0;
};
struct Long {
  int32_t a = 0;
  std::string b = "default";
};
template <typename A, Is<Short> T>
void fields(A& a, T& v) {
  a(v.a);
}
template <typename A, Is<Long> T>
void fields(A& a, T& v) {
  a(v.a, v.b);
}
}  // namespace older

namespace {

Job full_job() {
  Job job;
  job.id = 7;
  job.spec.name = "a name";
  job.spec.kinds = {2, 0};
  job.spec.rates = std::make_shared<RateTable>(RateTable{{{0, 1.5}, {0, 2.25, 4}}});
  job.spec.program = std::make_shared<Program>(Program{.command = {"a", "b c"}, .grace_ms = 5});
  job.spec.key = "k";
  job.target = {{0, 1, 1000}, {3, 2, 250}};
  job.placed = {{3, 2, 250}};
  job.parts[3] = {PartState::kStopping, Outcome::kFailed, 0};
  job.why = {Reason::kPreempted, 12, -5};
  job.first_run_at = -1;
  job.work_left = 0.1;
  return job;
}

TEST(ForgeCodec, AJobComesBack) {
  const std::string bytes = encode_job(full_job());
  const Job back = decode_job(bytes);
  EXPECT_EQ(encode_job(back), bytes);
  EXPECT_EQ(back.target, full_job().target);
  EXPECT_EQ(back.parts.at(3).outcome, Outcome::kFailed);
  EXPECT_EQ(back.spec.rates->at(1, 2), 4);
  EXPECT_EQ(back.why.at, -5);
}

TEST(ForgeCodec, FieldsMayBeAddedAtTheEnd) {
  Writer as_short, as_long;
  as_short.put(std::vector{older::Short{5}, older::Short{6}});
  as_long.put(std::vector{older::Long{5, "x"}, older::Long{6, "y"}});
  std::vector<older::Long> grown;
  Reader(as_short.bytes()).get(grown);
  ASSERT_EQ(grown.size(), 2U);
  EXPECT_EQ(grown[1].a, 6);
  EXPECT_EQ(grown[1].b, "default");
  std::vector<older::Short> shrunk;
  Reader(as_long.bytes()).get(shrunk);
  ASSERT_EQ(shrunk.size(), 2U);
  EXPECT_EQ(shrunk[1].a, 6);
}

TEST(ForgeCodec, DamagedBytesAreAnError) {
  const std::string bytes = encode_job(full_job());
  for (size_t cut = 1; cut < bytes.size(); ++cut)
    EXPECT_THROW(decode_job(bytes.substr(0, cut)), Error) << cut;
  EXPECT_THROW(decode_events("\x7f"), Error);
  EXPECT_THROW(decode_events(std::string(20, '\xff')), Error);
}

TEST(ForgeCodec, FramesSurviveAnyChunking) {
  const Command stop = Stop{3, 9, 5, 2, StopMode::kKill};
  const std::string stream = frame(encode_command(stop)) + frame("") + frame("abc");
  std::vector<std::string> got;
  FrameReader reader([&](std::string_view message) { got.emplace_back(message); });
  for (char byte : stream) reader.feed(std::string_view(&byte, 1));
  ASSERT_EQ(got.size(), 3U);
  EXPECT_EQ(std::get<Stop>(decode_command(got[0])).mode, StopMode::kKill);
  EXPECT_EQ(got[2], "abc");
  EXPECT_THROW(reader.feed("\xff\xff\xff\xff"), Error);
}

}  // namespace
}  // namespace hearth::forge::codec
