#include "client/src/stream.h"

#include <fcntl.h>
#include <grpc/support/time.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/channel_arguments.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "client/src/own_thread.h"
#include "nvcv_cached/v1/session.grpc.pb.h"

namespace nvcv_cached::client {

namespace {

constexpr size_t kMaxQueued = 4096;

// What an event of the completion queue is about.
enum Tag : intptr_t { kStarted = 1, kRead, kWritten, kFinished };
void* ToTag(Tag tag) { return reinterpret_cast<void*>(tag); }

std::shared_ptr<grpc::Channel> ChannelOver(UniqueFd socket) {
  ::fcntl(socket.get(), F_SETFL, ::fcntl(socket.get(), F_GETFL) | O_NONBLOCK);
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(16 << 20);
  // Liveness is the kernel's business on a Unix socket: a dead daemon is an end of file, and calls
  // have deadlines for one that is stopped. Pings would only wake idle processes.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, INT32_MAX);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomInsecureChannelFromFd("nvcv-cached", socket.release(), arguments);
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::UnavailableError("the daemon closed the session's stream");
  // Inside this library CANCELLED says that a caller was interrupted.
  if (status.error_code() == grpc::StatusCode::CANCELLED) {
    return absl::UnavailableError(status.error_message());
  }
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace

struct Stream::Call final : Turns::Events {
  Call(UniqueFd socket, Listener* the_listener, Turns& the_turns)
      : listener(the_listener),
        turns(the_turns),
        stub(v1::Session::NewStub(ChannelOver(std::move(socket)))),
        stream(stub->PrepareAsyncAttach(&context, &queue)) {}

  void Run();  // the stream's own thread
  bool RunOne(Turns::Deadline until) noexcept override;
  void Handle(void* tag, bool ok);
  void StartNextRead();
  void StartNextWrite();  // mutex held

  Listener* const listener;
  Turns& turns;
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  std::unique_ptr<v1::Session::Stub> stub;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<v1::ClientMessage, v1::ServerMessage>> stream;
  grpc::Status status;

  // Of whoever has the turn.
  v1::ServerMessage incoming;
  bool begun = false;  // reading may begin
  bool reading = false;

  std::mutex mutex;
  std::condition_variable written;
  struct Queued {
    uint64_t request_id;
    v1::ClientMessage message;
  };
  std::deque<Queued> outgoing;
  bool started = false;
  bool writing = false;
  bool over = false;  // no operation but Finish may be started any more; set with the turn as well
  bool ended = false;

  std::thread reader;
};

Stream::Stream(std::unique_ptr<Call> call) : call_(std::move(call)) {}

absl::StatusOr<std::unique_ptr<Stream>> Stream::Open(UniqueFd socket, Listener* listener,
                                                     Turns& turns) {
  auto call = std::make_unique<Call>(std::move(socket), listener, turns);
  absl::StatusOr<std::thread> reader =
      StartThread("nvcv-read", [started = call.get()] { started->Run(); });
  if (!reader.ok()) return reader.status();
  call->reader = *std::move(reader);
  // Not before: a call that was started needs somebody to see its end.
  call->stream->StartCall(ToTag(kStarted));
  return std::unique_ptr<Stream>(new Stream(std::move(call)));
}

Stream::~Stream() {
  Cancel();
  call_->reader.join();
}

void Stream::Call::StartNextWrite() {
  if (!started || over || writing || outgoing.empty()) return;
  writing = true;
  // gRPC serializes the message before Write returns.
  stream->Write(outgoing.front().message, ToTag(kWritten));
  outgoing.pop_front();
}

void Stream::Call::StartNextRead() {
  if (!begun || over || reading) return;
  reading = true;
  stream->Read(&incoming, ToTag(kRead));
}

void Stream::Call::Handle(void* tag, bool ok) {
  switch (static_cast<Tag>(reinterpret_cast<intptr_t>(tag))) {
    case kStarted: {
      begun = true;
      std::lock_guard lock(mutex);
      started = ok;
      StartNextWrite();
      break;
    }
    case kRead: {
      reading = false;
      if (ok) {
        listener->OnMessage(incoming);
        break;
      }
      std::lock_guard lock(mutex);
      over = true;
      break;
    }
    case kWritten: {
      std::lock_guard lock(mutex);
      writing = false;
      if (ok) StartNextWrite();
      written.notify_all();
      break;
    }
    case kFinished: {
      std::lock_guard lock(mutex);
      ended = true;
      written.notify_all();
      queue.Shutdown();
      break;
    }
  }
}

bool Stream::Call::RunOne(Turns::Deadline until) noexcept {
  StartNextRead();
  void* tag = nullptr;
  bool ok = false;
  const auto left =
      std::chrono::duration_cast<std::chrono::nanoseconds>(until - Turns::Clock::now());
  const gpr_timespec at =
      gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(left.count(), GPR_TIMESPAN));
  if (queue.AsyncNext(&tag, &ok, at) == grpc::CompletionQueue::GOT_EVENT) Handle(tag, ok);
  return !over;
}

void Stream::Call::Run() {
  bool finishing = false;
  void* tag = nullptr;
  bool ok = false;
  turns.Take();
  while (queue.Next(&tag, &ok)) {
    Handle(tag, ok);
    turns.Offer(begun && !over ? this : nullptr);
    turns.Take();
    StartNextRead();
    if (over && !finishing) {
      finishing = true;
      stream->Finish(&status, ToTag(kFinished));
    }
  }
  turns.Offer(nullptr);
  listener->OnEnd(FromGrpc(status));
}

absl::Status Stream::Send(const v1::ClientMessage& message, uint64_t request_id) {
  std::lock_guard lock(call_->mutex);
  if (call_->over) return absl::UnavailableError("the session's stream is over");
  if (call_->outgoing.size() >= kMaxQueued) {
    return absl::ResourceExhaustedError("4096 messages wait for the daemon, which does not read");
  }
  call_->outgoing.push_back({request_id, message});
  call_->StartNextWrite();
  return absl::OkStatus();
}

bool Stream::Withdraw(uint64_t request_id) {
  std::lock_guard lock(call_->mutex);
  for (auto it = call_->outgoing.begin(); it != call_->outgoing.end(); ++it) {
    if (it->request_id != request_id) continue;
    call_->outgoing.erase(it);
    return true;
  }
  return false;
}

bool Stream::Flush(std::chrono::steady_clock::time_point deadline) {
  call_->turns.Hurry();
  std::unique_lock lock(call_->mutex);
  call_->written.wait_until(
      lock, deadline, [&] { return call_->ended || (call_->outgoing.empty() && !call_->writing); });
  return call_->outgoing.empty() && !call_->writing && !call_->ended;
}

void Stream::Cancel() {
  call_->context.TryCancel();
  call_->turns.Hurry();
}

bool Stream::ended() const {
  std::lock_guard lock(call_->mutex);
  return call_->ended;
}

}  // namespace nvcv_cached::client
