// Finding the node's daemons and talking to them. Looking never starts one.
//
// A daemon is found by its socket in the system's and in the user's directory
// (proto/socket_paths.h), or named by --address or NVCV_CACHED_ADDRESS. Sockets that nobody listens
// on any more are passed over. Not thread-safe.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "client/cli/failure.h"
#include "client/cli/options.h"
#include "nvcv_cached/v1/admin.grpc.pb.h"

namespace nvcv_cached::cli {

class Daemon {
 public:
  // Connects. Throws no_daemon, or permission_denied with who may connect.
  Daemon(std::string socket, std::chrono::milliseconds timeout);

  const std::string& socket() const { return socket_; }
  // The device that its socket is named after, for people who see several daemons.
  std::string device() const;
  // Of the listening process, as the kernel says; 0 when it lives in another PID namespace.
  pid_t pid() const { return pid_; }

  // One unary call; throws the Failure that its status means.
  template <class Request, class Reply>
  Reply Call(grpc::Status (v1::Admin::Stub::*method)(grpc::ClientContext*, const Request&, Reply*),
             const Request& request) const {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout_);
    Reply reply;
    const grpc::Status status = ((*stub_).*method)(&context, request, &reply);
    if (!status.ok()) Fail(status);
    return reply;
  }

  // Its device has that name: a UUID or its first digits, cuda:N or host; everyone's is "".
  bool IsFor(const std::string& device) const;

  v1::Admin::Stub& stub() const { return *stub_; }  // for streams

  v1::Stats Stats() const { return Call(&v1::Admin::Stub::GetStats, v1::GetStatsRequest()); }

 private:
  [[noreturn]] void Fail(const grpc::Status& status) const;

  std::string socket_;
  pid_t pid_ = 0;
  std::chrono::milliseconds timeout_;
  std::unique_ptr<v1::Admin::Stub> stub_;
};

// "cuda:0: " before what one of several daemons says, nothing where there is one.
std::string Whose(const Daemon& daemon, const std::vector<Daemon>& daemons);

// How to start the daemon of a device; of "" that of the first GPU, without a driver the host's.
std::string StartHint(const std::string& device);

// Whether -d NAME means the device with this id, at this index of nvidia-smi (-1: host).
bool Names(const std::string& name, const std::string& device, int index);

// The sockets of daemons that are or were there: the one asked for, else all in both directories.
std::vector<std::string> Sockets(const GlobalOptions& options);

// The files with the last statistics of daemons that have left, likewise.
std::vector<std::string> LastStatsFiles(const GlobalOptions& options);

// The daemons that a reading command shows: those asked for, else all. Throws no_daemon with where
// it looked.
std::vector<Daemon> DaemonsToRead(const GlobalOptions& options);

// The daemons that a changing command changes: the one asked for, the only one, or with --all every
// one.
std::vector<Daemon> DaemonsToChange(const GlobalOptions& options);

}  // namespace nvcv_cached::cli
