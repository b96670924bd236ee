#include "server/foreign/socket_inode.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "proto/unique_fd.h"

namespace nvcv_cached::server {
namespace {

constexpr uint32_t kAnyCookie = ~uint32_t{0};

struct Answer {
  int error = 0;  // errno; 0: the socket exists
  std::optional<uint32_t> peer;
};

uint32_t PeerOf(const nlmsghdr* message, size_t bytes) {
  const auto* diag = static_cast<const unix_diag_msg*>(NLMSG_DATA(message));
  auto left = static_cast<int>(bytes - NLMSG_LENGTH(sizeof(*diag)));
  const auto* attribute = reinterpret_cast<const rtattr*>(diag + 1);
  for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
    if (attribute->rta_type != UNIX_DIAG_PEER || RTA_PAYLOAD(attribute) < sizeof(uint32_t))
      continue;
    uint32_t peer = 0;
    std::memcpy(&peer, RTA_DATA(attribute), sizeof(peer));
    return peer;
  }
  return 0;
}

Answer Ask(uint32_t inode) {
  const UniqueFd netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!netlink) return {.error = errno, .peer = std::nullopt};
  struct {
    nlmsghdr header;
    unix_diag_req request;
  } ask{};
  ask.header.nlmsg_len = sizeof(ask);
  ask.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  ask.header.nlmsg_flags = NLM_F_REQUEST;
  ask.request.sdiag_family = AF_UNIX;
  ask.request.udiag_states = ~uint32_t{0};
  ask.request.udiag_ino = inode;
  ask.request.udiag_show = UDIAG_SHOW_PEER;
  ask.request.udiag_cookie[0] = kAnyCookie;
  ask.request.udiag_cookie[1] = kAnyCookie;
  if (::send(netlink.get(), &ask, sizeof(ask), 0) != sizeof(ask)) {
    return {.error = errno, .peer = std::nullopt};
  }
  alignas(nlmsghdr) std::array<char, 1024> buffer{};
  const ssize_t count = ::recv(netlink.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data());
  if (count < 0 || !NLMSG_OK(message, static_cast<uint32_t>(count))) {
    return {.error = EPROTO, .peer = std::nullopt};
  }
  if (message->nlmsg_type == NLMSG_ERROR) {
    const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(message));
    return {.error = -error->error, .peer = std::nullopt};
  }
  if (message->nlmsg_len < NLMSG_LENGTH(sizeof(unix_diag_msg))) {
    return {.error = EPROTO, .peer = std::nullopt};
  }
  Answer answer;
  if (const uint32_t peer = PeerOf(message, message->nlmsg_len); peer != 0) answer.peer = peer;
  return answer;
}

}  // namespace

std::optional<uint32_t> PeerInode(int socket) {
  struct stat status {};
  if (::fstat(socket, &status) != 0) return std::nullopt;
  const Answer ours = Ask(static_cast<uint32_t>(status.st_ino));
  // One that we cannot find now cannot be looked for later either.
  if (!ours.peer || SocketExists(*ours.peer) != true) return std::nullopt;
  return ours.peer;
}

std::optional<bool> SocketExists(uint32_t inode) {
  const Answer answer = Ask(inode);
  if (answer.error == 0) return true;
  if (answer.error == ENOENT) return false;
  return std::nullopt;
}

}  // namespace nvcv_cached::server
