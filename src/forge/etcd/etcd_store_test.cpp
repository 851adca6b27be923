#include "forge/etcd/etcd_store.h"

#include <gmock/gmock.h>

#include "forge/etcd/etcd_test_support.h"
#include "forge/server/store_house.h"

namespace hearth::forge {
namespace {

using testing::HasSubstr;
using transport::ClientRequest;
using transport::ClientStream;

// What happens to the transactions that a store sends.
enum class Wire { kGood, kAnswersLost, kCut };

// The wire of a test to a real etcd. A request whose answer is lost has happened.
class WireClient final : public transport::HttpClient {
 public:
  struct State {
    Wire wire = Wire::kGood;
    int good_for = 0;  // transactions, before kCut
    std::vector<ClientRequest> sent;
  };
  explicit WireClient(std::shared_ptr<State> state) : state_(std::move(state)) {}

  void stream(const ClientRequest& request, const ClientStream& sink) override {
    const bool transaction = request.url.ends_with("/kv/txn");
    if (transaction && state_->wire == Wire::kCut && state_->good_for-- <= 0)
      throw_error(ErrorCode::kInternal, "wire", "cut");
    const bool lost = transaction && state_->wire == Wire::kAnswersLost && ++lost_ % 2 == 1;
    if (transaction) state_->sent.push_back(request);
    http_->stream(request, lost ? ClientStream{} : sink);
    if (lost) throw_error(ErrorCode::kIo, "wire", "the answer was lost");
  }

 private:
  std::shared_ptr<State> state_;
  std::unique_ptr<transport::HttpClient> http_ = transport::make_http_client();
  int lost_ = 0;
};

class EtcdStores : public testing::Test {
 protected:
  void SetUp() override {
    if (!RealEtcd::get()) GTEST_SKIP() << "no etcd: install etcd-server, or set HEARTH_ETCD";
    options = RealEtcd::get()->options();
    lead();
  }
  // The next server's turn; the one before was deposed and has not noticed.
  void lead() {
    Etcd(options).transact({.removed = {"leader"}});
    leaderships.push_back(Leadership::take(options, "http://a", RealEtcd::get()->clock()));
    ASSERT_TRUE(leaderships.back());
  }
  std::unique_ptr<EtcdStore> store(EtcdStoreLimits limits = {}) {
    EtcdOptions twice = options;
    twice.urls.push_back(twice.urls[0]);  // there is a next member to ask
    return std::make_unique<EtcdStore>(*leaderships.back(),
                                       Etcd(twice, std::make_unique<WireClient>(wire)), limits);
  }
  uint64_t fingerprint_now() {
    const auto its_store = store();
    return StoreHouse(*its_store).control->scheduler().fingerprint();
  }

  EtcdOptions options;
  std::vector<std::unique_ptr<Leadership>> leaderships;
  std::shared_ptr<WireClient::State> wire = std::make_shared<WireClient::State>();
};

TEST_F(EtcdStores, TheNextServerKnowsWhatTheLastOneDid) {
  const auto first = store();
  StoreHouse house(*first);
  house.join();
  house.turn(2'000, {Submit{small_job()}, Submit{small_job()}, Submit{small_job()}});
  house.turn(3'000, {Started{0, 1, 0, 1}, Ended{0, 1, 0, 1, Outcome::kSucceeded}, Drain{0}});
  first->add_sample({.at = 5'000, .devices = 4, .vc_milli = {7}});
  lead();
  const auto second = store();
  StoreHouse again(*second);
  EXPECT_EQ(again.control->scheduler().fingerprint(), house.control->scheduler().fingerprint());
  EXPECT_EQ(again.control->scheduler().now(), 3'000);
  const auto before = first->notes(-1, -1, 100), after = second->notes(-1, -1, 100);
  ASSERT_EQ(after.size(), before.size());
  EXPECT_EQ(after.back().number, before.back().number);
  EXPECT_EQ(second->spans(0, 9'000, 10).at(0).devices, "0,1");
  EXPECT_EQ(second->samples(0, 9'000).at(0).vc_milli, (std::vector<int32_t>{7}));
  // Numbers go on.
  again.turn(6'000, {Cancel{1}});
  EXPECT_GT(second->notes(-1, -1, 100).back().number, after.back().number);
}

TEST_F(EtcdStores, ADeposedServerWritesNothingAndSaysNothing) {
  const auto old = store();
  StoreHouse house(*old);
  house.join();
  house.turn(2'000, {Submit{small_job()}});
  lead();
  const uint64_t now = fingerprint_now();
  const size_t said = house.submitted.size();
  // A heartbeat changes nothing that is kept, but the lease that answers it would let work live on.
  EXPECT_THROW(house.turn(2'001, {Heartbeat{0, 1, 2'000}}), Error);
  EXPECT_THROW(house.turn(3'000, {Submit{small_job()}}), Error);
  EXPECT_EQ(house.submitted.size(), said);
  EXPECT_THROW(old->add_sample({.at = 4'000}), Error);
  EXPECT_EQ(fingerprint_now(), now);
}

TEST_F(EtcdStores, AWriteWhoseAnswerIsLostHappensOnce) {
  wire->wire = Wire::kAnswersLost;
  const auto its_store = store();
  StoreHouse house(*its_store);
  house.join();
  house.turn(2'000, {Submit{small_job()}, Submit{small_job()}});
  EXPECT_EQ(house.submitted.back(), 1);
  wire->wire = Wire::kGood;
  EXPECT_EQ(fingerprint_now(), house.control->scheduler().fingerprint());
}

TEST_F(EtcdStores, WritesThatArriveLateChangeNothing) {
  const auto its_store = store();
  StoreHouse house(*its_store);
  house.join();
  house.turn(2'000, {Submit{small_job()}});
  house.turn(3'000, {Started{0, 1, 0, 1}});
  house.turn(4'000, {Cancel{0}, Drain{0}});
  // Copies that were under way by another member.
  ASSERT_GE(wire->sent.size(), 5U);
  for (auto late = wire->sent.rbegin(); late != wire->sent.rend(); ++late)
    EXPECT_EQ(transport::make_http_client()->send(*late).status, 200);
  EXPECT_EQ(fingerprint_now(), house.control->scheduler().fingerprint());
}

TEST_F(EtcdStores, ALargeTurnHappensWholeOrNotAtAllWhereverItIsCut) {
  const EtcdStoreLimits tight{.ops_max = 4, .bytes_max = 600};
  {
    const auto its_store = store(tight);
    StoreHouse(*its_store).join();
  }
  const std::vector<Event> many(12, Submit{small_job()});
  int whole = 0, cut = 0;
  for (int good_for = 0; whole == 0 || good_for < 2; ++good_for) {
    ASSERT_LT(good_for, 60);
    lead();
    wire->wire = Wire::kGood;
    const auto its_store = store(tight);
    StoreHouse house(*its_store);
    const uint64_t before = house.control->scheduler().fingerprint();
    const size_t jobs_before = house.control->scheduler().jobs().size();
    *wire = {Wire::kCut, good_for, {}};
    bool failed = false;
    try {
      house.turn(10'000 + good_for, many);
    } catch (const Error&) {
      failed = true;
    }
    *wire = {};
    const auto next = store(tight);
    StoreHouse after(*next);
    const size_t jobs_after = after.control->scheduler().jobs().size();
    if (jobs_after == jobs_before) {
      EXPECT_EQ(after.control->scheduler().fingerprint(), before) << good_for;
      EXPECT_TRUE(failed);
      ++cut;
    } else {
      EXPECT_EQ(jobs_after, jobs_before + many.size());
      EXPECT_EQ(after.control->scheduler().fingerprint(), house.control->scheduler().fingerprint());
      whole += !failed;
    }
    EXPECT_TRUE(Etcd(options).list("turn").empty());
  }
  EXPECT_GT(cut, 1);
}

TEST_F(EtcdStores, NotesAndSamplesTakeNoMorePlaceThanTheyAreGiven) {
  const EtcdStoreLimits few{.note_slots = 3, .sample_slots = 2};
  const auto its_store = store(few);
  StoreHouse house(*its_store);
  for (Millis now = 2'000; now < 12'000; now += 1'000) house.turn(now, {Submit{small_job()}});
  for (Millis at = 0; at < 50'000; at += 10'000) its_store->add_sample({.at = at});
  EXPECT_EQ(Etcd(options).list("notes/").size(), 3U);
  EXPECT_EQ(Etcd(options).list("samples/").size(), 2U);
  const auto next = store(few);
  next->load();
  EXPECT_EQ(next->notes(-1, -1, 100).back().number, its_store->notes(-1, -1, 100).back().number);
  EXPECT_EQ(next->samples(0, 60'000).back().at, 40'000);
}

TEST_F(EtcdStores, AJobTooLargeForOneValueIsRefused) {
  const auto its_store = store();
  StoreHouse house(*its_store);
  JobSpec large = small_job();
  Program program;
  program.command = {"x", std::string(size_t{600} << 10, 'y')};
  large.program = std::make_shared<Program>(program);
  house.turn(2'000, {Submit{large}, Submit{small_job()}});
  EXPECT_THAT(house.refusals.at(0), HasSubstr("put what is large into a file"));
  EXPECT_EQ(house.submitted.at(1), 0);
}

TEST_F(EtcdStores, OneServerDecidesAtATime) {
  const Clock& clock = RealEtcd::get()->clock();
  EXPECT_EQ(Leadership::take(options, "http://b", clock), nullptr);
  Etcd etcd(options);
  EXPECT_EQ(Leadership::holder(etcd), "http://a");
  leaderships.clear();  // gives it back
  EXPECT_EQ(Leadership::holder(etcd), std::nullopt);
  const auto next = Leadership::take(options, "http://b", clock);
  ASSERT_TRUE(next);
  EXPECT_FALSE(next->over());
  next->end();
  EXPECT_TRUE(next->over());
}

TEST_F(EtcdStores, ServersShareTheFirstOnesToken) {
  EXPECT_EQ(shared_token(options, "one"), "one");
  EXPECT_EQ(shared_token(options, "two"), "one");
}

TEST_F(EtcdStores, ManyKeysComeInPages) {
  Etcd etcd(options);
  for (int page = 0; page < 50; ++page) {
    EtcdWrite write;
    for (int i = 0; i < 100; ++i)
      write.puts.push_back({fmt::format("many/{:06}", page * 100 + i), std::string(i, '\xff')});
    ASSERT_TRUE(etcd.transact(write).done);
  }
  const std::vector<EtcdRow> rows = etcd.list("many/");
  ASSERT_EQ(rows.size(), 5'000U);
  EXPECT_EQ(rows[4'321].key, "many/004321");
  EXPECT_EQ(rows[4'321].value, std::string(21, '\xff'));
  etcd.transact({.removed = {"many/"}});
  EXPECT_TRUE(etcd.list("many/").empty());
  const int64_t revision = etcd.transact({.puts = {{"x", "y"}}}).revision;
  etcd.compact(revision);
  EXPECT_EQ(etcd.get("x")->value, "y");
}

TEST(Etcd, WhereNobodyAnswersItSaysWhereAndWhatToDo) {
  try {
    Etcd({.urls = {"http://127.0.0.1:1", "http://127.0.0.1:2"}}).get("x");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code, ErrorCode::kUnavailable);
    EXPECT_THAT(error.what(), HasSubstr("http://127.0.0.1:1,http://127.0.0.1:2"));
    EXPECT_THAT(error.what(), HasSubstr("start it, or correct --etcd"));
  }
}

}  // namespace
}  // namespace hearth::forge
