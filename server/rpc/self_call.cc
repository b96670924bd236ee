#include "server/rpc/self_call.h"

#include <grpcpp/create_channel_posix.h>
#include <grpcpp/server.h>
#include <grpcpp/server_posix.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "nvcv_cached/v1/session.grpc.pb.h"

namespace nvcv_cached::server {
namespace {

// Ends a call that a hung server does not; who asks has given up long before.
constexpr std::chrono::seconds kLongest{60};

class Call final : public grpc::ClientBidiReactor<v1::ClientMessage, v1::ServerMessage> {
 public:
  Call(int ours, int theirs, std::shared_ptr<PeerRegistry> registry,
       std::function<void(absl::Status)> done)
      : number_(theirs),
        registry_(std::move(registry)),
        nobody_(MakeNobody()),
        stub_(v1::Session::NewStub(grpc::CreateInsecureChannelFromFd("self", ours))),
        done_(std::move(done)) {
    registry_->Add(number_, nobody_);
  }

  void Start(grpc::Server& server) {
    grpc::AddInsecureChannelFromFd(&server, number_);
    context_.set_deadline(std::chrono::system_clock::now() + kLongest);
    stub_->async()->Attach(&context_, this);
    StartCall();
  }

  // Nobody's calls are refused with DATA_LOSS, which nothing else answers.
  void OnDone(const grpc::Status& answer) override {
    registry_->Remove(number_, nobody_.get());
    done_(Meaning(answer));
    delete this;
  }

 private:
  static absl::Status Meaning(const grpc::Status& answer) {
    switch (answer.error_code()) {
      case grpc::StatusCode::DATA_LOSS:
        return absl::OkStatus();
      case grpc::StatusCode::DEADLINE_EXCEEDED:
        return absl::DeadlineExceededError("gRPC does not answer a call of the daemon to itself");
      default:
        return absl::InternalError(absl::StrCat(
            "this gRPC does not name connections by descriptor: ", answer.error_message()));
    }
  }

  static std::shared_ptr<const Peer> MakeNobody() {
    auto nobody = std::make_shared<Peer>();
    nobody->refusal = absl::DataLossError("a call of the daemon to itself");
    return nobody;
  }

  const int number_;
  const std::shared_ptr<PeerRegistry> registry_;
  const std::shared_ptr<const Peer> nobody_;
  const std::unique_ptr<v1::Session::Stub> stub_;
  const std::function<void(absl::Status)> done_;
  grpc::ClientContext context_;
};

}  // namespace

void CallSelf(grpc::Server& server, std::shared_ptr<PeerRegistry> registry,
              std::function<void(absl::Status)> done) {
  std::array<int, 2> pair{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    done(absl::ResourceExhaustedError(absl::StrCat("socketpair: ", std::strerror(errno))));
    return;
  }
  (new Call(pair[1], pair[0], std::move(registry), std::move(done)))->Start(server);
}

}  // namespace nvcv_cached::server
