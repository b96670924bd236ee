// A client that speaks the protocol by hand, so that it can also speak it wrongly.
//
// RawStream is one Attach stream; RawSession is a stream with its descriptor socket and table.
// Every wait has a deadline (kWait); what does not come in time is a nullopt or a status.
// Thread-safety: none.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "nvcv_cached/v1/session.grpc.pb.h"
#include "proto/descriptor_socket.h"
#include "proto/lease_table.h"
#include "proto/unique_fd.h"

namespace nvcv_cached::server::testing {

inline constexpr std::chrono::seconds kWait{10};

// A channel of its own connection.
std::shared_ptr<grpc::Channel> Dial(const std::string& socket_path);

// A connected Unix socket; invalid when the connection is refused.
UniqueFd ConnectRaw(const std::string& path);

class RawStream {
 public:
  explicit RawStream(const std::shared_ptr<grpc::Channel>& channel);
  ~RawStream();  // cancels

  bool Write(const v1::ClientMessage& message) { return stream_->Write(message); }
  std::optional<v1::ServerMessage> Read();
  grpc::Status Finish();  // reads what is left
  void Cancel() { context_.TryCancel(); }
  void WritesDone() { stream_->WritesDone(); }

  // Sends Hello; nullopt: the daemon ended the stream (Finish says why).
  std::optional<v1::Welcome> Hello(const v1::Hello& hello);

 private:
  grpc::ClientContext context_;
  std::unique_ptr<v1::Session::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ClientMessage, v1::ServerMessage>> stream_;
  bool finished_ = false;
};

v1::Hello GoodHello();

class RawSession {
 public:
  // Hello, descriptor socket and table; check ok().
  explicit RawSession(const std::string& socket_path);
  ~RawSession();

  bool ok() const { return table_ != nullptr; }
  RawStream& stream() { return *stream_; }
  const v1::Welcome& welcome() const { return welcome_; }
  lease_table::Table& table() { return *table_; }
  int table_fd() const { return table_fd_.get(); }
  UniqueFd& descriptor_socket() { return socket_; }
  uint64_t received() const { return received_; }

  // Reads until the answer with this number comes; Retire and others in between are kept out.
  std::optional<v1::ServerMessage> Answer(uint64_t request_id);
  std::optional<v1::ServerMessage> Acquire(uint64_t size_bytes);
  v1::ClientMessage AcquireMessage(uint64_t size_bytes);
  std::optional<v1::Counts> Query(v1::Scope scope);
  bool Return(const v1::Lease& lease);  // the transition and the message
  void Goodbye();

  // The descriptors of slabs that have arrived, taken off the socket.
  std::vector<ReceivedFrame> TakeFrames(size_t count);

  // Breaks the stream and takes the session up again on a new connection.
  grpc::Status Resume(const v1::Resume& resume);
  v1::Resume ResumeMessage() const;
  void BreakStream() { stream_.reset(); }

 private:
  std::string socket_path_;
  std::unique_ptr<RawStream> stream_;
  v1::Welcome welcome_;
  UniqueFd socket_;
  UniqueFd table_fd_;
  lease_table::Table* table_ = nullptr;
  uint64_t last_request_ = 0;
  uint64_t received_ = 0;
};

}  // namespace nvcv_cached::server::testing
