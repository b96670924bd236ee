// The parts of the books and the end of every call: sessions that broke the rules are closed,
// emptied slabs go, those who wait are served, sessions of which nothing is left end.
//
// Thread-safety: none; under the lock of the books.
#pragma once

#include <cstdint>
#include <optional>
#include <set>

#include "server/core/books.h"
#include "server/core/eviction.h"
#include "server/core/ledger.h"
#include "server/core/requests.h"
#include "server/core/slab_life.h"

namespace nvcv_cached::server {

class Books::Impl {
 public:
  Impl(const Settings& settings, uint64_t epoch, const Clock& clock)
      : ledger(settings, epoch, clock),
        eviction(ledger),
        slabs(ledger, eviction),
        requests(ledger, eviction, slabs) {}

  core::Ledger ledger;
  core::Eviction eviction;
  core::SlabLife slabs;
  core::Requests requests;
  SessionId next_session = 1;
  std::set<SessionId> going;  // sessions that serve no more
  core::Hits hits_of_ended;

  // No grants any more; what is idle or returned is free or draining.
  void Close(core::SessionBooks& session);
  void Finish();
  void Poll();
  bool NeedsPoll() const;
  // Every slot looked at: what was returned without a message is found.
  void LookAtEverything();
  void CheckInvariants() const;

  std::optional<TimePoint> looked;  // at everything
  std::optional<TimePoint> next_poll;
  Duration poll_interval{1};

 private:
  // Where a scan that looks at so many slots at a time goes on.
  struct Place {
    SessionId session = 0;
    uint32_t slot = 0;
  };
  bool EndIfOver(core::SessionBooks& session);
  template <class Of, class F>
  void ScanSome(Place& place, Of&& of, F&& look);
  uint64_t served_ = 0;  // ledger.freed when those who wait were looked at last
  Place serving_, going_;
  uint64_t calls_ = 0;
};

// One call into the books: the clock is read once, and the loose ends are tied at the end.
class Turn {
 public:
  explicit Turn(Books::Impl& impl) : impl_(impl) { impl_.ledger.ReadClock(); }
  ~Turn() { impl_.Finish(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Books::Impl& impl_;
};

}  // namespace nvcv_cached::server
