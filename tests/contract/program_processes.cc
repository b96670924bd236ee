// The random program's processes and threads, its operator, and what is checked after a step.
#include "tests/contract/program.h"

namespace nvcv_cached::contract {

// ---- processes and threads

void Program::Spawn() {
  const ProcessId id = next_process_++;
  Worker& worker = workers_[id];
  worker.process = std::make_unique<Process>(daemon_.socket_path(), clock_fd_);
  model_.Begin(id);
  StartThread(id, worker, 0);
}

void Program::StartThread(ProcessId id, Worker& worker, int place) {
  worker.process->Start(place);
  worker.threads[place] = next_thread_++;
  model_.Begin(id, worker.threads[place]);
}

void Program::EndProcess() {
  auto worker = workers_.begin();
  std::advance(worker, Below(workers_.size()));
  const uint32_t left = daemon_.sessions() - SessionsOf(worker->second);
  if (Below(2) == 0) {
    worker->second.process->Kill();
    ++done_["processes killed"];
  } else {
    if (const int status = worker->second.process->Exit(); status != 0) {
      throw Differs("a worker left with the status " + std::to_string(status));
    }
    ++done_["processes that exited"];
  }
  model_.End(worker->first);
  workers_.erase(worker);
  if (!server::testing::Eventually([&] { return daemon_.sessions() == left; })) {
    throw Differs("the session of a process that ended is still there");
  }
  CheckDaemon();
  Spawn();
}

void Program::ChangeThreads(Worker& worker) {
  if (worker.threads.size() == kThreads || (worker.threads.size() > 1 && Below(2) == 0)) {
    worker.process->Leave(thread_.first);
    model_.End(id_, thread_.second);
    worker.threads.erase(thread_.first);
    ++done_["threads that ended"];
  } else {
    int place = 0;
    while (worker.threads.contains(place)) ++place;
    StartThread(id_, worker, place);
  }
  thread_ = *worker.threads.begin();
  command_ = {.op = Op::kRead};
  Do();
  Check();
}

// ---- the operator's part

void Program::ChangeDaemon() {
  if (Below(4) == 0) {
    const bool clear = Below(4) == 0;
    const auto policy = clear ? server::Policy::kClear : server::Policy::kLru;
    daemon_.broker().With([&](server::Books& books) { books.SetPolicy(policy); });
    model_.SetPolicy(clear ? Policy::kClear : Policy::kLru);
    ++done_["policies set"];
  } else {
    const uint64_t limit = Below(8) == 0 ? 0 : Below(2) == 0 ? kMostCached : Below(kMostCached);
    daemon_.broker().With([&](server::Books& books) { books.SetLimit(limit); });
    model_.SetDaemonLimit(limit);
    ++done_["daemon limits set"];
  }
  CheckDaemon();
}

// ---- after each step

std::string Program::Text(const Counts& counts) {
  return std::to_string(counts.items) + " items of " + std::to_string(counts.bytes) + " bytes";
}

void Program::Same(const char* whose, const Counts& found, const Counts& expected) {
  if (found == expected) return;
  throw Differs(std::string(whose) + " counts " + Text(found) + "; the model has " +
                Text(expected));
}

void Program::Check() {
  const Counts process = model_.Count(id_);
  const Hits& hits = model_.process(id_).hits;
  const server::ScopeReport books = BooksOf(workers_.at(id_), hits);
  Same("the books of the process", {books.items + reply_.local_items, books.bytes}, process);
  Same({books.hits_exact, books.hits_size_class, books.hits_depot, books.misses}, hits);
  if (command_.read) {
    Same("the process", reply_.process, process);
    Same("the thread", reply_.thread, model_.Count(id_, thread_.second));
    Same(reply_.hits, hits);
    ++done_["steps read through the API"];
  }
  CheckDaemon();
}

server::ScopeReport Program::BooksOf(Worker& worker, const Hits& hits) {
  return daemon_.broker().With([&](server::Books& books) -> server::ScopeReport {
    if (worker.session == 0 && hits.misses > 0) {
      for (const server::SessionId id : books.Ids()) {
        if (sessions_.insert(id).second) worker.session = id;
      }
    }
    if (worker.session == 0) return {};
    return books.GetScope({worker.session, std::nullopt});
  });
}

void Program::Same(const Hits& found, const Hits& expected) {
  if (found == expected) return;
  throw Differs("exact, size, depot, misses: found " + Text(found) + "; the model has " +
                Text(expected));
}

std::string Program::Text(const Hits& hits) {
  return std::to_string(hits.exact) + " " + std::to_string(hits.size_class) + " " +
         std::to_string(hits.depot) + " " + std::to_string(hits.misses);
}

void Program::CheckDaemon() {
  const auto counts =
      daemon_.broker().With([](server::Books& books) { return books.GetScope({}); });
  Same("the daemon", {counts.items, counts.bytes}, model_.CountDaemon());
}

}  // namespace nvcv_cached::contract
