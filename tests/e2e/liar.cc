// A hostile client: it speaks the protocol and breaks its rules (line_server.h has the frame). It
// links the generated messages, not the library, and says whatever JSON form of a message a test
// gives it.
//
//   open ADDRESS [mute]   begins an Attach stream; mute: never reads it
//   send JSON             one ClientMessage           spam COUNT JSON    many; ends early when the
//   stream does recv MS               the next ServerMessage, {"status": code, "text":} at the end,
//   {"timeout": true} cancel                drops the stream            goodbye half-closes it
//   fetch ADDRESS TOKEN   sends base16 TOKEN to the descriptor socket, takes the table's frame
//   frame MS              takes one more frame (a slab)          hangup     closes the descriptor
//   socket slot I                -> word, state, revoked, fence         poke I WORD   fence I BITS
//   done T COUNTER move I STATE          a transition by the right function: idle, held, returned
//   scribble SEED [header|counters|timelines|slots]   random bytes into the table
//   shrink, grow, seal, punch    on the table's and the last slab's descriptor -> errno of each
//   storm COUNT ADDRESS   opens and drops COUNT connections
#include <fcntl.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <optional>
#include <random>

#include "absl/strings/escaping.h"
#include "nvcv_cached/v1/session.grpc.pb.h"
#include "proto/descriptor_socket.h"
#include "proto/lease_table.h"
#include "tests/e2e/line_server.h"

namespace nvcv_cached::e2e {
namespace {

using Table = lease_table::Table;
using lease_table::Fence;
using lease_table::Slot;
using lease_table::State;
using lease_table::Word;

std::chrono::steady_clock::time_point In(int64_t ms) {
  return std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
}

int ConnectTo(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return fd;
  VerbError error("connect", std::strerror(errno));
  ::close(fd);
  throw error;
}

// One Attach stream; the only honesty of it is that a Retire is answered. Thread-safe.
class Stream {
 public:
  Stream(const std::string& address, bool mute) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel_ =
        grpc::CreateCustomChannel("unix:" + address, grpc::InsecureChannelCredentials(), arguments);
    stub_ = v1::Session::NewStub(channel_);
    stream_ = stub_->Attach(&context_);
    if (!mute) reader_ = std::thread(&Stream::Read, this);
  }
  ~Stream() {
    context_.TryCancel();
    if (reader_.joinable()) reader_.join();
  }

  bool Write(const v1::ClientMessage& message) {
    std::lock_guard lock(write_mutex_);
    return stream_->Write(message);
  }
  void Goodbye() { stream_->WritesDone(); }
  void Cancel() { context_.TryCancel(); }

  Json Receive(int64_t ms) {
    std::unique_lock lock(mutex_);
    if (!more_.wait_until(lock, In(ms), [this] { return !messages_.empty() || status_; })) {
      return {{"timeout", true}};
    }
    if (messages_.empty()) {
      return {{"status", static_cast<int>(status_->error_code())},
              {"text", status_->error_message()}};
    }
    std::string text;
    google::protobuf::util::JsonPrintOptions options;
    options.preserve_proto_field_names = true;
    options.always_print_primitive_fields = true;
    (void)google::protobuf::util::MessageToJsonString(messages_.front(), &text, options);
    messages_.pop_front();
    return Json::parse(text);
  }

 private:
  void Read() {
    v1::ServerMessage message;
    while (stream_->Read(&message)) {
      if (message.has_retire()) {
        v1::ClientMessage unmapped;
        unmapped.mutable_unmapped()->set_slab(message.retire().slab());
        Write(unmapped);
        continue;
      }
      std::lock_guard lock(mutex_);
      messages_.push_back(message);
      more_.notify_all();
    }
    grpc::Status status = stream_->Finish();
    std::lock_guard lock(mutex_);
    status_ = status;
    more_.notify_all();
  }

  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Session::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ClientMessage, v1::ServerMessage>> stream_;
  std::thread reader_;
  std::mutex write_mutex_;
  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<v1::ServerMessage> messages_;
  std::optional<grpc::Status> status_;
};

class Liar {
 public:
  Json Open(const Args& args) {
    stream_ = std::make_unique<Stream>(args.at(0), args.size() > 1);
    return Json::object();
  }

  Json Send(const Args& args, int64_t count) {
    v1::ClientMessage message;
    auto parsed = google::protobuf::util::JsonStringToMessage(args.back(), &message);
    if (!parsed.ok()) throw VerbError("BadJson", std::string(parsed.message()));
    int64_t sent = 0;
    while (sent < count && stream_->Write(message)) {
      ++sent;
      if (count > 1 && message.has_acquire()) {
        message.mutable_acquire()->set_request_id(message.acquire().request_id() + 1);
      }
    }
    return {{"sent", sent}};
  }

  Json Fetch(const Args& args) {
    socket_.reset(ConnectTo(args.at(0)));
    std::string token = absl::HexStringToBytes(args.at(1));
    if (::send(socket_.get(), token.data(), token.size(), MSG_NOSIGNAL) < 0) {
      throw VerbError("send", std::strerror(errno));
    }
    return TakeFrame(5000);
  }

  Json TakeFrame(int64_t ms) {
    auto frame = ReceiveFrame(socket_.get(), In(ms));
    if (!frame.ok()) throw VerbError("frame", frame.status().ToString());
    if (frame->frame.kind == FrameKind::kLeaseTable) {
      void* memory =
          ::mmap(nullptr, sizeof(Table), PROT_READ | PROT_WRITE, MAP_SHARED, frame->fd.get(), 0);
      if (memory == MAP_FAILED) throw VerbError("mmap", std::strerror(errno));
      table_ = static_cast<Table*>(memory);
      table_fd_ = std::move(frame->fd);
      return {{"kind", "table"},
              {"session", table_->header.session_id},
              {"epoch", table_->header.epoch}};
    }
    slab_fd_ = std::move(frame->fd);
    return {{"kind", "slab"}, {"slab", frame->frame.slab}, {"bytes", frame->frame.size_bytes}};
  }

  Json HangUp() {
    socket_.reset();
    return Json::object();
  }

  Slot& SlotAt(const std::string& index) {
    if (table_ == nullptr) throw VerbError("NoTable", "fetch first");
    return table_->slots[std::stoul(index)];
  }

  Json Show(const Args& args) {
    auto seen = lease_table::Look(SlotAt(args.at(0)));
    return {{"word", seen.word.bits()},
            {"state", static_cast<int>(seen.word.state())},
            {"revoked", seen.word.revoked()},
            {"fence", seen.fence.bits()}};
  }

  Json Move(const Args& args) {
    Slot& slot = SlotAt(args.at(0));
    Word word = lease_table::Look(slot).word;
    bool moved = false;
    if (args.at(1) == "idle") moved = lease_table::Release(slot, word, std::nullopt, 0).has_value();
    if (args.at(1) == "held") moved = lease_table::Reuse(slot, word).has_value();
    if (args.at(1) == "returned") moved = lease_table::Return(slot, word, std::nullopt);
    return {{"moved", moved}};
  }

  Json Scribble(const Args& args) {
    if (table_ == nullptr) throw VerbError("NoTable", "fetch first");
    std::mt19937_64 random(std::stoull(args.at(0)));
    std::string part = args.size() > 1 ? args[1] : "all";
    auto* begin = reinterpret_cast<char*>(table_);
    size_t bytes = sizeof(Table);
    if (part == "header") bytes = sizeof(table_->header);
    if (part == "counters")
      begin = reinterpret_cast<char*>(table_->counters), bytes = sizeof(table_->counters);
    if (part == "timelines")
      begin = reinterpret_cast<char*>(table_->timelines), bytes = sizeof(table_->timelines);
    if (part == "slots")
      begin = reinterpret_cast<char*>(table_->slots), bytes = sizeof(table_->slots);
    auto* words = reinterpret_cast<std::atomic<uint64_t>*>(begin);
    for (size_t i = 0; i < bytes / 8; ++i) words[i].store(random(), std::memory_order_relaxed);
    return {{"words", bytes / 8}};
  }

  Json Attack(const std::function<int(int)>& attack) {
    Json found = Json::object();
    for (auto [name, fd] :
         {std::pair{"table", table_fd_.get()}, std::pair{"slab", slab_fd_.get()}}) {
      if (fd < 0) continue;
      found[name] = attack(fd) == 0 ? "done" : std::strerror(errno);
    }
    return found;
  }

  Stream& stream() {
    if (!stream_) throw VerbError("NoStream", "open first");
    return *stream_;
  }
  Table& table() { return *table_; }

 private:
  std::unique_ptr<Stream> stream_;
  UniqueFd socket_, table_fd_, slab_fd_;
  Table* table_ = nullptr;
};

Json Storm(const Args& args) {
  int refused = 0;
  std::mt19937_64 random(std::stoull(args.at(0)));
  for (int i = std::stoi(args.at(0)); i > 0; --i) {
    try {
      UniqueFd fd(ConnectTo(args.at(1)));
      uint64_t junk = random();
      if (i % 2 == 0) (void)!::write(fd.get(), &junk, sizeof(junk));
    } catch (const VerbError&) {
      ++refused;
    }
  }
  return {{"refused", refused}};
}

int Main() {
  ::signal(SIGPIPE, SIG_IGN);
  LineServer& server = *new LineServer;
  Liar& liar = *new Liar;
  server.On("open", [&](const Args& args) { return liar.Open(args); });
  server.On("send", [&](const Args& args) { return liar.Send(args, 1); });
  server.On("spam", [&](const Args& args) { return liar.Send(args, std::stoll(args.at(0))); });
  server.On("recv",
            [&](const Args& args) { return liar.stream().Receive(std::stoll(args.at(0))); });
  server.On("cancel", [&](const Args&) {
    liar.stream().Cancel();
    return Json::object();
  });
  server.On("goodbye", [&](const Args&) {
    liar.stream().Goodbye();
    return Json::object();
  });
  server.On("fetch", [&](const Args& args) { return liar.Fetch(args); });
  server.On("frame", [&](const Args& args) { return liar.TakeFrame(std::stoll(args.at(0))); });
  server.On("hangup", [&](const Args&) { return liar.HangUp(); });
  server.On("slot", [&](const Args& args) { return liar.Show(args); });
  server.On("move", [&](const Args& args) { return liar.Move(args); });
  server.On("scribble", [&](const Args& args) { return liar.Scribble(args); });
  server.On("poke", [&](const Args& args) {
    liar.SlotAt(args.at(0)).word.store(std::stoull(args.at(1)), std::memory_order_release);
    return Json::object();
  });
  server.On("fence", [&](const Args& args) {
    Fence fence(static_cast<uint16_t>(std::stoul(args.at(1))), std::stoull(args.at(2)));
    liar.SlotAt(args.at(0)).fence.store(fence.bits(), std::memory_order_release);
    return Json::object();
  });
  server.On("done", [&](const Args& args) {
    liar.table().timelines[std::stoul(args.at(0))].done_cpu.store(std::stoull(args.at(1)),
                                                                  std::memory_order_release);
    return Json::object();
  });
  server.On("shrink",
            [&](const Args&) { return liar.Attack([](int fd) { return ::ftruncate(fd, 0); }); });
  server.On("grow", [&](const Args&) {
    return liar.Attack([](int fd) { return ::ftruncate(fd, int64_t{1} << 40); });
  });
  server.On("seal", [&](const Args&) {
    return liar.Attack([](int fd) { return ::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE); });
  });
  server.On("punch", [&](const Args&) {
    return liar.Attack([](int fd) {
      return ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 20);
    });
  });
  server.On("storm", Storm);
  return server.Run();
}

}  // namespace
}  // namespace nvcv_cached::e2e

int main() { return nvcv_cached::e2e::Main(); }
