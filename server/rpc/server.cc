#include "server/rpc/server.h"

#include <fcntl.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "nvcv_cached/v1/session.grpc.pb.h"
#include "proto/descriptor_socket.h"
#include "proto/socket_paths.h"
#include "server/rpc/connections.h"
#include "server/rpc/listener.h"
#include "server/rpc/peer.h"
#include "server/rpc/session_service.h"
#include "server/rpc/sessions.h"

namespace nvcv_cached::server {
namespace {

// A Return of every slot is 96 KiB; nothing legitimate is larger.
constexpr int kMaxMessageBytes = 128 * 1024;
constexpr int kMaxStreamsPerConnection = 16;
constexpr int kIdleConnectionMs = 120'000;  // without any call
constexpr int kMaxThreads = 64;

std::unique_ptr<grpc::Server> BuildServer(SessionService& sessions,
                                          const std::vector<grpc::Service*>& services) {
  static const bool plugins = [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    return true;
  }();
  (void)plugins;
  grpc::ServerBuilder builder;
  builder.RegisterService(&sessions);
  for (grpc::Service* service : services) builder.RegisterService(service);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetResourceQuota(grpc::ResourceQuota("nvcv-cached").SetMaxThreads(kMaxThreads));
  // The only synchronous service is reflection: as few threads as possible wait for it.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kIdleConnectionMs);
  // Nothing is probed: a stopped client stays as it is, its death is seen by other means, and an
  // idle daemon sends nothing. Windows stay at HTTP/2's 64 KiB, which bounds what a connection can
  // make the daemon hold.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1'000);
  return builder.BuildAndStart();
}

}  // namespace

class RpcServer::Impl {
 public:
  Impl(Broker& broker, RpcOptions options)
      : broker_(broker),
        options_(std::move(options)),
        sessions_(std::make_shared<Sessions>(broker_, options_)),
        service_(sessions_, registry_) {}

  ~Impl() { Shutdown(std::chrono::milliseconds(0)); }

  const PeerRegistry& peers() const { return registry_; }

  absl::Status Start(const std::vector<grpc::Service*>& services) {
    if (absl::Status status = CheckSocketPath(options_.socket_path); !status.ok()) return status;
    absl::StatusOr<Listener> session_listener =
        Listener::Make(options_.socket_path, options_.mode, options_.group);
    if (!session_listener.ok()) return session_listener.status();
    session_listener_.emplace(*std::move(session_listener));
    absl::StatusOr<Listener> descriptor_listener =
        Listener::Make(absl::StrCat(options_.socket_path, std::string(kDescriptorSuffix)),
                       options_.mode, options_.group);
    if (!descriptor_listener.ok()) return descriptor_listener.status();
    descriptor_listener_.emplace(*std::move(descriptor_listener));

    server_ = BuildServer(service_, services);
    if (!server_) return absl::InternalError("gRPC did not start");
    if (absl::Status status = CheckPeerNames(); !status.ok()) return status;
    SetServing(broker_.state() == ServingState::kServing);

    connections_.emplace(broker_, options_, sessions_, registry_,
                         [this](int fd) { grpc::AddInsecureChannelFromFd(server_.get(), fd); });
    connections_->Listen(session_listener_->fd(), descriptor_listener_->fd());
    return absl::OkStatus();
  }

  void SetServing(bool serving) {
    if (server_ && server_->GetHealthCheckService() != nullptr) {
      server_->GetHealthCheckService()->SetServingStatus(serving);
    }
  }

  void SetMaxSessions(uint32_t max_sessions) {
    sessions_->SetMaxSessions(max_sessions);
    if (connections_) connections_->SetMaxSessions(max_sessions);
  }

  void Shutdown(std::chrono::milliseconds grace) {
    if (connections_) connections_->Stop();
    session_listener_.reset();
    descriptor_listener_.reset();
    sessions_->EndStreams(
        absl::UnavailableError("the daemon is leaving; do: connect to the next one"));
    if (server_) server_->Shutdown(std::chrono::system_clock::now() + grace);
    sessions_->Stop();
    connections_.reset();
    server_.reset();
  }

 private:
  // What a connection is called is gRPC's own affair, and all credentials hang on it: before
  // anybody can connect, one call over a pair of sockets must be taken for the peer that was
  // entered.
  absl::Status CheckPeerNames() {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
      return absl::ResourceExhaustedError(absl::StrCat("socketpair: ", std::strerror(errno)));
    }
    auto nobody = std::make_shared<Peer>();
    nobody->refusal = absl::DataLossError("self-test");
    registry_.Add(pair[0], nobody);
    grpc::AddInsecureChannelFromFd(server_.get(), pair[0]);
    grpc::Status answer;
    {
      auto stub = v1::Session::NewStub(grpc::CreateInsecureChannelFromFd("self-test", pair[1]));
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
      auto stream = stub->Attach(&context);
      answer = stream->Finish();
    }
    registry_.Remove(pair[0], nobody.get());
    if (answer.error_code() == grpc::StatusCode::DATA_LOSS) return absl::OkStatus();
    return absl::InternalError(absl::StrCat("this gRPC does not name connections by descriptor: ",
                                            answer.error_message()));
  }

  Broker& broker_;
  const RpcOptions options_;
  PeerRegistry registry_;
  const std::shared_ptr<Sessions> sessions_;
  SessionService service_;
  std::optional<Listener> session_listener_;
  std::optional<Listener> descriptor_listener_;
  std::unique_ptr<grpc::Server> server_;
  std::optional<Connections> connections_;
};

RpcServer::RpcServer(Broker& broker, RpcOptions options)
    : impl_(std::make_unique<Impl>(broker, std::move(options))) {}

RpcServer::~RpcServer() = default;

const PeerRegistry& RpcServer::peers() const { return impl_->peers(); }

absl::Status RpcServer::Start(const std::vector<grpc::Service*>& services) {
  return impl_->Start(services);
}

void RpcServer::SetServing(bool serving) { impl_->SetServing(serving); }

void RpcServer::SetMaxSessions(uint32_t max_sessions) { impl_->SetMaxSessions(max_sessions); }

void RpcServer::Shutdown(std::chrono::milliseconds grace) { impl_->Shutdown(grace); }

}  // namespace nvcv_cached::server
