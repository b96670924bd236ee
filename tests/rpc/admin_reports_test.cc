// What operators are shown of clients, made from the books of a broker without any connection.
#include "server/rpc/admin_reports.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <set>
#include <string>

#include "tests/rpc/local_daemon.h"

namespace nvcv_cached::server::testing {
namespace {

class SilentSink final : public SessionSink {
 public:
  void OnGrant(const SendGrant& grant, Handles) override { granted_ += grant.leases.size(); }
  void OnRefusal(const SendRefusal&) override {}
  void OnRetire(SlabId) override {}
  void OnKill(const absl::Status&) override {}
  void OnEnded(EndCause) override {}
  void OnDraining() override {}
  bool attached() const override { return true; }
  void Pump() override {}

  size_t granted() const { return granted_; }

 private:
  size_t granted_ = 0;  // under the lock of the books
};

struct TableFree {
  void operator()(lease_table::Table* table) const { std::free(table); }
};

TEST(AdminReports, TextOfClientsIsPrintableAndEveryLeaseIsShownOnce) {
  constexpr size_t kLeases = 2500;
  const std::unique_ptr<lease_table::Table, TableFree> table(
      static_cast<lease_table::Table*>(std::calloc(1, lease_table::kTableBytes)));
  LocalDaemon daemon;
  auto sink = std::make_shared<SilentSink>();
  const SessionId id = daemon.broker().OpenSession(
      {.domain = "uid:0", .name = "a\x1b[2J\xff", .pid = 0, .uid = 0, .limit_bytes = {}},
      table.get(), [&](SessionId) { return sink; });
  const auto granted = [&] {
    return daemon.broker().With([&](Books&) { return sink->granted(); });
  };
  for (RequestId request = 1; request <= kLeases; ++request) {
    if (request == 2) {
      ASSERT_TRUE(Eventually([&] { return granted() == 1; })) << "the slab is there";
    }
    daemon.broker().With([&](Books& books) {
      AcquireRequest asked;
      asked.id = request;
      asked.size_bytes = 512;
      asked.spec = "evil\n\x1b[2J";
      EXPECT_TRUE(books.Acquire(id, std::move(asked)).ok());
    });
  }
  ASSERT_TRUE(Eventually([&] { return granted() == kLeases; }));
  std::set<uint32_t> slots;
  ForEachLease(daemon.broker(), id, [&](const v1::LeaseInfo& lease) {
    EXPECT_TRUE(slots.insert(lease.slot()).second);
    EXPECT_EQ(lease.session(), id);
    EXPECT_EQ(lease.session_name(), "a?[2J?");
    EXPECT_EQ(lease.spec(), "evil??[2J");
  });
  EXPECT_EQ(slots.size(), kLeases);
  const auto sessions = Sessions(daemon.broker());
  ASSERT_EQ(sessions.size(), 1u);
  EXPECT_EQ(sessions[0].name(), "a?[2J?");
  EXPECT_EQ(sessions[0].leases(), kLeases);
}

}  // namespace
}  // namespace nvcv_cached::server::testing
