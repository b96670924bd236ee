// A daemon in the test's own process, for what a real one does not do on command: fall silent,
// break a stream, forget a session, speak another protocol. It keeps just enough of the contract:
// one table and one slab for each session, slots granted one after the other, every message kept
// for a resume. Thread-safe.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "nvcv_cached/v1/session.grpc.pb.h"
#include "proto/lease_table.h"
#include "proto/unique_fd.h"

namespace nvcv_cached::testing {

class FakeDaemon {
 public:
  static constexpr uint64_t kSlabBytes = 8 << 20;

  FakeDaemon(std::string path, uint64_t epoch);
  ~FakeDaemon();  // as if killed: every socket closes

  // What it does with requests from now on.
  void AnswerAcquires(bool answer);  // false: kept; true: the kept ones are answered as well
  void AnswerQueries(bool answer);   // false: dropped
  void RefuseHello(grpc::Status status);
  void HoldHellos(bool hold);  // unanswered while true
  void RefuseResumes(bool refuse);

  void BreakStreams();  // as if the connection got lost; sessions stay
  void Retire(uint64_t slab);

  // Waits for a message that `wanted` likes, of all received so far, 5 s at most.
  bool WaitFor(const std::function<bool(const v1::ClientMessage&)>& wanted);
  int Count(const std::function<bool(const v1::ClientMessage&)>& wanted);
  int hellos();
  v1::Hello last_hello();
  lease_table::Table& table();  // of the newest session

 private:
  struct Session {
    uint64_t id = 0;
    UniqueFd table_fd, slab_fd;
    lease_table::Table* table = nullptr;
    uint32_t next_slot = 0;
    bool slab_named = false;
    UniqueFd descriptors;
    uint64_t received = 0;
    std::vector<v1::ServerMessage> sent;
    grpc::ServerReaderWriter<v1::ServerMessage, v1::ClientMessage>* stream = nullptr;
  };
  class Service;

  grpc::Status Attach(grpc::ServerReaderWriter<v1::ServerMessage, v1::ClientMessage>* stream);
  grpc::Status Greet(const v1::Hello& hello, v1::ServerMessage& reply, Session*& session);
  void Handle(Session& session, const v1::ClientMessage& message);
  void Grant(Session& session, const v1::Acquire& acquire);
  void Say(Session& session, v1::ServerMessage message);
  void AcceptStreams();
  void AcceptDescriptors();

  const std::string path_;
  const uint64_t epoch_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  bool answer_ = true;
  bool answer_queries_ = true;
  bool hold_hellos_ = false;
  bool refuse_resumes_ = false;
  grpc::Status refusal_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<std::pair<Session*, v1::Acquire>> kept_;
  std::vector<v1::ClientMessage> messages_;
  std::vector<UniqueFd> connections_;
  UniqueFd streams_, descriptors_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
  std::thread accepting_streams_, accepting_descriptors_;
};

}  // namespace nvcv_cached::testing
