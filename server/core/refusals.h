// The texts of refusals: what was asked, what was found, who holds it, what to do.
// Client text in them is cut and made printable. Thread-safety: none; under the lock of the books.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "server/core/ledger.h"

namespace nvcv_cached::server::core {

std::string Size(uint64_t bytes);  // 192 MiB, 98.1 GiB, 7.94 GiB
std::string Printable(std::string_view text, size_t most);

SendRefusal OutOfMemory(Ledger& ledger, const SessionBooks& session, const AcquireRequest& request,
                        std::string_view device_error);
// More than the pool may ever hold: nobody's memory would help.
SendRefusal AboveCapacity(const Ledger& ledger, const SessionBooks& session,
                          const AcquireRequest& request);
SendRefusal OverQuota(const Ledger& ledger, const SessionBooks& session,
                      const AcquireRequest& request);
SendRefusal TableFull(const SessionBooks& session, const AcquireRequest& request);
SendRefusal TooManyWaiting(const SessionBooks& session, const AcquireRequest& request);

}  // namespace nvcv_cached::server::core
