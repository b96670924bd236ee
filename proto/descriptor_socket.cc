#include "proto/descriptor_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace nvcv_cached {

absl::Status SendFrame(int socket, const Frame& frame, int fd) {
  iovec data{const_cast<Frame*>(&frame), sizeof(frame)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &fd, sizeof(int));

  ssize_t sent;
  do {
    sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  if (sent == sizeof(frame)) return absl::OkStatus();
  // A short write cannot be completed without its descriptor: the peer has stopped reading either
  // way.
  if (sent >= 0 || errno == EAGAIN || errno == ETOOMANYREFS) {
    return absl::ResourceExhaustedError("descriptor socket: the peer does not read it");
  }
  return absl::UnavailableError(absl::StrCat("descriptor socket: ", std::strerror(errno)));
}

namespace {

absl::Status WaitReadable(int socket, std::chrono::steady_clock::time_point deadline) {
  while (true) {
    auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() < 0) left = std::chrono::milliseconds(0);
    pollfd poll_fd{socket, POLLIN, 0};
    int ready = ::poll(&poll_fd, 1, static_cast<int>(left.count()));
    if (ready > 0) return absl::OkStatus();
    if (ready == 0) return absl::DeadlineExceededError("descriptor socket: no answer in time");
    if (errno != EINTR) {
      return absl::UnavailableError(absl::StrCat("descriptor socket: ", std::strerror(errno)));
    }
  }
}

absl::Status CheckMemory(const Frame& frame, int fd) {
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  struct stat info {};
  if (::fstat(fd, &info) != 0 || static_cast<uint64_t>(info.st_size) < frame.size_bytes) {
    return absl::DataLossError(absl::StrCat("descriptor socket: memory of ", info.st_size,
                                            " bytes where ", frame.size_bytes, " were named"));
  }
  int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) {
    return absl::DataLossError("descriptor socket: memory that is not sealed against shrinking");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ReceivedFrame> ReceiveFrame(int socket,
                                           std::chrono::steady_clock::time_point deadline) {
  ReceivedFrame result{};
  size_t got = 0;
  while (got < sizeof(Frame)) {
    if (absl::Status status = WaitReadable(socket, deadline); !status.ok()) return status;
    iovec data{reinterpret_cast<char*>(&result.frame) + got, sizeof(Frame) - got};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    ssize_t count = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (count == 0) return absl::UnavailableError("descriptor socket: closed by the peer");
    if (count < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      return absl::UnavailableError(absl::StrCat("descriptor socket: ", std::strerror(errno)));
    }
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header), sizeof(int));
      result.fd.reset(fd);
    }
    got += static_cast<size_t>(count);
  }
  if (!result.fd) return absl::DataLossError("descriptor socket: a frame without a descriptor");
  if (absl::Status status = CheckMemory(result.frame, result.fd.get()); !status.ok()) return status;
  return result;
}

}  // namespace nvcv_cached
