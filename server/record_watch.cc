#include "server/record_watch.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "server/log/log_sink.h"

namespace nvcv_cached::server {
namespace {

constexpr const char* kHint =
    "the next daemon will not know what this one's clients map; do: make room in the directory, or "
    "give this user the right to write there; it is tried again by itself";

}  // namespace

RecordWatch::RecordWatch(SlabRecord& record)
    : record_(record), wakeup_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  record_.OnChange([fd = wakeup_.get()] {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t ignored = ::write(fd, &one, sizeof(one));
  });
}

void RecordWatch::Look(Time now) {
  uint64_t news = 0;
  [[maybe_unused]] const ssize_t ignored = ::read(wakeup_.get(), &news, sizeof(news));
  if (next_ && now >= *next_) record_.Retry();
  const absl::Status status = record_.status();
  if (status.ok()) {
    next_.reset();
  } else if (!next_ || now >= *next_) {
    next_ = now + kTryAgain;
  }
  if (said_ == !status.ok()) return;
  said_ = !status.ok();
  if (said_) {
    LogWarning(Event("no-record").With("error", std::string(status.message())).With("hint", kHint));
  } else {
    LogInfo(Event("record").With("why", "the record of slabs is written again"));
  }
}

}  // namespace nvcv_cached::server
