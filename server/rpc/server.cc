#include "server/rpc/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>

#include <future>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "nvcv_cached/v1/session.grpc.pb.h"
#include "proto/descriptor_socket.h"
#include "proto/socket_paths.h"
#include "server/rpc/connections.h"
#include "server/rpc/listener.h"
#include "server/rpc/peer.h"
#include "server/rpc/self_call.h"
#include "server/rpc/session_service.h"
#include "server/rpc/sessions.h"

namespace nvcv_cached::server {
namespace {

// A Return of every slot is 96 KiB; nothing legitimate is larger.
constexpr int kMaxMessageBytes = 128 * 1024;
constexpr int kMaxStreamsPerConnection = 16;
constexpr int kIdleConnectionMs = 120'000;  // without any call
constexpr int kMaxThreads = 64;
constexpr std::chrono::seconds kSelfCall{5};

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
        service_(sessions_, *registry_) {}

  ~Impl() { Shutdown(std::chrono::milliseconds(0)); }

  const PeerRegistry& peers() const { return *registry_; }

  absl::Status Start(const std::vector<grpc::Service*>& services,
                     std::optional<ListeningSockets> sockets) {
    if (sockets) {
      sockets_.emplace(*std::move(sockets));
    } else {
      absl::StatusOr<ListeningSockets> made =
          MakeListeningSockets(options_.socket_path, options_.mode, options_.group);
      if (!made.ok()) return made.status();
      sockets_.emplace(*std::move(made));
    }

    server_ = BuildServer(service_, services);
    if (!server_) return absl::InternalError("gRPC did not start");
    if (absl::Status status = CheckPeerNames(); !status.ok()) return status;
    SetServing(broker_.state() == ServingState::kServing);

    connections_.emplace(broker_, options_, sessions_, *registry_,
                         [this](int fd) { grpc::AddInsecureChannelFromFd(server_.get(), fd); });
    connections_->Listen(sockets_->session.fd(), sockets_->descriptor.fd());
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

  std::vector<Pulse> Pulses() {
    auto call = [this](std::function<void()> answer) {
      // Any answer is one: clients that take all descriptors must not be able to end the daemon.
      CallSelf(*server_, registry_, [answer = std::move(answer)](const absl::Status& status) {
        if (!absl::IsDeadlineExceeded(status)) answer();
      });
    };
    return {
        connections_->AcceptPulse(), sessions_->DeathWatchPulse(), {.name = "grpc", .ask = call}};
  }

  void Shutdown(std::chrono::milliseconds grace) {
    if (connections_) connections_->Stop();
    sockets_.reset();
    sessions_->EndStreams(
        absl::UnavailableError("the daemon is leaving; do: connect to the next one"));
    if (server_) server_->Shutdown(std::chrono::system_clock::now() + grace);
    sessions_->Stop();
    connections_.reset();
    server_.reset();
  }

 private:
  // Before anybody can connect: what a connection is called must be what its peer is entered under.
  absl::Status CheckPeerNames() {
    auto answered = std::make_shared<std::promise<absl::Status>>();
    std::future<absl::Status> answer = answered->get_future();
    CallSelf(*server_, registry_,
             [answered](absl::Status status) { answered->set_value(std::move(status)); });
    if (answer.wait_for(kSelfCall) == std::future_status::ready) return answer.get();
    return absl::DeadlineExceededError("gRPC does not answer a call of the daemon to itself");
  }

  Broker& broker_;
  const RpcOptions options_;
  const std::shared_ptr<PeerRegistry> registry_ = std::make_shared<PeerRegistry>();
  const std::shared_ptr<Sessions> sessions_;
  SessionService service_;
  std::optional<ListeningSockets> sockets_;
  std::unique_ptr<grpc::Server> server_;
  std::optional<Connections> connections_;
};

RpcServer::RpcServer(Broker& broker, RpcOptions options)
    : impl_(std::make_unique<Impl>(broker, std::move(options))) {}

RpcServer::~RpcServer() = default;

const PeerRegistry& RpcServer::peers() const { return impl_->peers(); }

absl::Status RpcServer::Start(const std::vector<grpc::Service*>& services,
                              std::optional<ListeningSockets> sockets) {
  return impl_->Start(services, std::move(sockets));
}

std::vector<Pulse> RpcServer::Pulses() { return impl_->Pulses(); }

void RpcServer::SetServing(bool serving) { impl_->SetServing(serving); }

void RpcServer::SetMaxSessions(uint32_t max_sessions) { impl_->SetMaxSessions(max_sessions); }

void RpcServer::Shutdown(std::chrono::milliseconds grace) { impl_->Shutdown(grace); }

}  // namespace nvcv_cached::server
