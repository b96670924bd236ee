// Many sessions at one daemon: opens COUNT of them from this process, says how long it took, waits
// for a line on standard input, and ends without a word, as a killed client would.
//
//   sessions_benchmark SOCKET COUNT
//
// Speaks the protocol itself: one process of the library has one session.
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "nvcv_cached/v1/session.grpc.pb.h"
#include "proto/descriptor_socket.h"
#include "proto/socket_paths.h"
#include "proto/version.h"

namespace nvcv_cached::bench {
namespace {

class RawSession {
 public:
  // Empty on success, else what failed.
  std::string Open(const std::string& socket) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own
    stub_ = v1::Session::NewStub(
        grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments));
    stream_ = stub_->Attach(&context_);
    v1::ClientMessage hello;
    hello.mutable_hello()->set_protocol_min(kProtocolMin);
    hello.mutable_hello()->set_protocol_max(kProtocolMax);
    hello.mutable_hello()->set_name("sessions_benchmark");
    v1::ServerMessage answer;
    if (!stream_->Write(hello) || !stream_->Read(&answer) || !answer.has_welcome()) {
      return stream_->Finish().error_message();
    }
    return FetchTable(socket, answer.welcome().descriptor_token());
  }

 private:
  std::string FetchTable(const std::string& socket, const std::string& token) {
    descriptors_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = socket + std::string(kDescriptorSuffix);
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (::connect(descriptors_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) !=
            0 ||
        ::send(descriptors_.get(), token.data(), token.size(), MSG_NOSIGNAL) < 0) {
      return std::strerror(errno);
    }
    auto frame = ReceiveFrame(descriptors_.get(),
                              std::chrono::steady_clock::now() + std::chrono::seconds(10));
    return frame.ok() ? "" : std::string(frame.status().message());
  }

  std::unique_ptr<v1::Session::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ClientMessage, v1::ServerMessage>> stream_;
  UniqueFd descriptors_;
};

}  // namespace
}  // namespace nvcv_cached::bench

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: sessions_benchmark SOCKET COUNT\n");
    return 2;
  }
  const size_t count = std::stoul(argv[2]);
  std::vector<std::unique_ptr<nvcv_cached::bench::RawSession>> sessions;
  const auto start = std::chrono::steady_clock::now();
  while (sessions.size() < count) {
    sessions.push_back(std::make_unique<nvcv_cached::bench::RawSession>());
    if (std::string error = sessions.back()->Open(argv[1]); !error.empty()) {
      std::fprintf(stderr, "session %zu of %zu: %s\n", sessions.size(), count, error.c_str());
      std::_Exit(1);
    }
  }
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  std::printf("{\"sessions\": %zu, \"seconds\": %.3f}\n", count, spent.count());
  std::fflush(stdout);
  std::getchar();
  std::_Exit(0);
}
