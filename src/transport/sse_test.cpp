#include "transport/sse.h"

#include <gtest/gtest.h>
#include <vector>

namespace hearth::transport {
namespace {

TEST(Sse, ReadsWhatItWroteHoweverItIsCut) {
  const std::string bytes = ": comment\n\n" + sse_frame("", "{\"a\":1}") + sse_frame("stop", "x") +
                            "data: one\r\ndata: two\r\n\r\ndata\n\nevent: lost\n\n";
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    std::vector<SseEvent> events;
    SseParser parser([&](SseEvent event) { events.push_back(std::move(event)); });
    for (size_t at = 0; at < bytes.size(); at += piece) parser.feed(bytes.substr(at, piece));
    ASSERT_EQ(events.size(), 4u) << "pieces of " << piece;
    EXPECT_EQ(events[0].data, "{\"a\":1}");
    EXPECT_EQ(events[1].event, "stop");
    EXPECT_EQ(events[2].data, "one\ntwo");
    EXPECT_EQ(events[3].data, "");
  }
}

}  // namespace
}  // namespace hearth::transport
