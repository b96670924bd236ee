#include "server/core/refusals.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace nvcv_cached::server::core {

namespace {

constexpr size_t kHolders = 3;  // named in a refusal
constexpr size_t kNameBytes = 32, kSpecBytes = 80;

std::string Asked(const Ledger& ledger, const AcquireRequest& request) {
  std::string asked =
      absl::StrCat("asked ", Size(request.size_bytes), " on ", ledger.settings.device);
  if (!request.spec.empty()) absl::StrAppend(&asked, " for ", Printable(request.spec, kSpecBytes));
  return asked;
}

// Every slot is looked at, so a flood of requests that are refused shares one figure.
uint64_t IdleBytes(Ledger& ledger) {
  constexpr Duration kFresh{10};
  if (ledger.idle_counted && ledger.now - *ledger.idle_counted < kFresh) return ledger.idle_bytes;
  ledger.idle_counted = ledger.now;
  ledger.idle_bytes = 0;
  for (const auto& [id, session] : ledger.sessions) {
    session->ForEachLease([&](const Lease& lease) {
      if (lease.state == LeaseState::kCached && ledger.Peek(lease) == Sight::kIdle) {
        ledger.idle_bytes += lease.size_bytes;
      }
    });
  }
  return ledger.idle_bytes;
}

// What earlier daemons' clients still map, or nothing.
std::string Foreign(const Ledger& ledger) {
  if (ledger.foreign_bytes == 0) return "";
  return absl::StrCat(", ", Size(ledger.foreign_bytes),
                      " beside it of an earlier daemon's clients");
}

// "; in use: ..." with the largest sessions, or nothing.
std::string Holders(const Ledger& ledger) {
  std::vector<const SessionBooks*> holders;
  for (const auto& [id, session] : ledger.sessions) {
    if (session->leased_bytes > 0) holders.push_back(session.get());
  }
  if (holders.empty()) return "";
  std::stable_sort(holders.begin(), holders.end(),
                   [](const SessionBooks* a, const SessionBooks* b) {
                     return a->leased_bytes > b->leased_bytes;
                   });
  std::string text;
  uint64_t others = 0;
  for (size_t i = 0; i < holders.size(); ++i) {
    if (i >= kHolders) {
      others += holders[i]->leased_bytes;
      continue;
    }
    absl::StrAppend(&text,
                    i > 0 ? ", " : "; in use: ", Printable(holders[i]->options.name, kNameBytes),
                    " pid ", holders[i]->options.pid, " ", Size(holders[i]->leased_bytes));
  }
  if (others > 0) absl::StrAppend(&text, ", ", holders.size() - kHolders, " others ", Size(others));
  return text;
}

SendRefusal Refusal(const SessionBooks& session, const AcquireRequest& request,
                    const std::string& text, std::string hint, RefusalReason reason) {
  return {session.id, request.id, absl::ResourceExhaustedError(text), std::move(hint), reason};
}

}  // namespace

std::string Size(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  const bool whole = value == static_cast<double>(static_cast<uint64_t>(value));
  if (unit == 0 || (whole && value >= 10)) return absl::StrFormat("%.0f %s", value, kUnits[unit]);
  return absl::StrFormat("%.*f %s", value < 10 ? 2 : 1, value, kUnits[unit]);
}

std::string Printable(std::string_view text, size_t most) {
  std::string printable;
  for (const char c : text.substr(0, most)) {
    printable += absl::ascii_isprint(static_cast<unsigned char>(c)) ? c : '?';
  }
  if (text.size() > most) printable += "...";
  return printable;
}

SendRefusal OutOfMemory(Ledger& ledger, const SessionBooks& session, const AcquireRequest& request,
                        std::string_view device_error) {
  std::string text =
      absl::StrCat(Asked(ledger, request), "; found pool ", Size(ledger.pool.held_bytes()), " of ",
                   Size(ledger.settings.capacity_bytes), ", ", Size(IdleBytes(ledger)), " idle",
                   Foreign(ledger), Holders(ledger));
  if (!device_error.empty()) absl::StrAppend(&text, "; the device: ", std::string(device_error));
  return Refusal(session, request, text,
                 device_error.empty() ? "free some there, or raise capacity"
                                      : "free some there, or on the device outside of this daemon",
                 RefusalReason::kOutOfMemory);
}

SendRefusal AboveCapacity(const Ledger& ledger, const SessionBooks& session,
                          const AcquireRequest& request) {
  return Refusal(session, request,
                 absl::StrCat(Asked(ledger, request), "; found a capacity of ",
                              Size(ledger.settings.capacity_bytes), " in all"),
                 "ask for less, or raise capacity", RefusalReason::kOutOfMemory);
}

SendRefusal OverQuota(const Ledger& ledger, const SessionBooks& session,
                      const AcquireRequest& request) {
  const uint64_t quota = ledger.QuotaOf(session).value_or(0);
  return Refusal(session, request,
                 absl::StrCat(Asked(ledger, request), "; session ", session.id, " holds ",
                              Size(session.leased_bytes), " of its ", Size(quota)),
                 absl::StrCat("release, or nvcv-cachectl quota SIZE --session ", session.id),
                 RefusalReason::kQuota);
}

SendRefusal TableFull(const SessionBooks& session, const AcquireRequest& request) {
  return Refusal(
      session, request,
      absl::StrCat("asked one more lease of ", Size(request.size_bytes), "; session ", session.id,
                   " holds ", session.leases, " of ", lease_table::kSlots, ", none idle"),
      "release some, or use fewer and larger objects", RefusalReason::kTableFull);
}

SendRefusal TooManyWaiting(const SessionBooks& session, const AcquireRequest& request) {
  return Refusal(session, request,
                 absl::StrCat("asked ", Size(request.size_bytes), "; session ", session.id, " has ",
                              session.pending, " requests waiting already"),
                 "wait for their answers", RefusalReason::kOther);
}

}  // namespace nvcv_cached::server::core
