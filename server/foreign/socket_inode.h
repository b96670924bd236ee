// The other end of a Unix socket, as the kernel numbers it.
//
// A client keeps its descriptor socket as long as it, or a child that it forked, may still use the
// session's slabs. The number of that end outlives the daemon: whoever asks later learns whether
// anybody still holds it. Asked over netlink (unix_diag), which needs no right. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>

namespace nvcv_cached::server {

// The inode of the end that `socket` is connected to. nullopt: the kernel does not tell, or not of
// an end in another network namespace.
std::optional<uint32_t> PeerInode(int socket);

// Whether a socket of that inode exists in our network namespace. nullopt: the kernel does not
// tell.
std::optional<bool> SocketExists(uint32_t inode);

}  // namespace nvcv_cached::server
