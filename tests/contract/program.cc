#include "tests/contract/program.h"

#include <algorithm>
#include <iterator>
#include <stdexcept>

#include "tests/contract/daemon_clock.h"

namespace nvcv_cached::contract {

namespace {

constexpr int kProcesses = 3;

server::testing::DaemonOptions Options(const StepClock& steps) {
  server::testing::DaemonOptions options;
  options.settings.limit_bytes = kMostCached;
  // One is always large enough: idle memory is taken for the limit alone.
  options.settings.slab_bytes = 256 * kMiB;
  options.settings.trim_after = std::chrono::hours(24 * 365);
  options.clock = std::make_shared<DaemonClock>(steps);
  return options;
}

}  // namespace

Program::Program(uint64_t seed)
    : random_(seed),
      clock_fd_(StepClock::MakeShared()),
      steps_(clock_fd_.get()),
      daemon_(Options(steps_)),
      model_(kMostCached, [this](ProcessId id) { return workers_.at(id).process->Look(); }) {
  if (!daemon_.started().ok()) throw std::runtime_error("the daemon did not start");
  for (int i = 0; i < kProcesses; ++i) Spawn();
}

void Program::Step() {
  steps_.Step();
  const uint64_t kind = Below(100'000);
  if (kind < 20) return EndProcess();
  if (kind < 120) return ChangeDaemon();
  auto worker = workers_.begin();
  std::advance(worker, Below(workers_.size()));
  id_ = worker->first;
  auto thread = worker->second.threads.begin();
  std::advance(thread, Below(worker->second.threads.size()));
  thread_ = *thread;
  if (kind < 1000) return ChangeThreads(worker->second);
  command_ = {};
  if (kind < 42'000) {
    Make();
  } else if (kind < 46'000) {
    Reshape();
  } else if (kind < 52'000) {
    Push();
  } else if (kind < 54'000) {
    Empty();
  } else if (kind < 99'000) {
    Drop();
  } else if (kind < 99'500) {
    Limit();
  } else {
    Clear();
  }
  ++done_["steps of threads"];
}

void Program::CheckAll() {
  for (auto& [id, worker] : workers_) model_.CheckDetached(id);
  daemon_.broker().With([](server::Books& books) { books.CheckInvariants(); });
}

void Program::CheckPremise() {
  const auto totals = daemon_.broker().With([](server::Books& books) { return books.GetTotals(); });
  if (totals.misses_grow > 1 || totals.misses_reclaim > 0) {
    throw Differs("the pool grew or took idle memory: the model's premise is gone");
  }
  done_["evictions of idle items"] = totals.evictions[0];
  done_["items that left in use"] = totals.detached;
  done_["uncached grants"] = totals.uncached_grants;
}

std::string Program::Last() const {
  return "process " + std::to_string(id_) + ", thread " + std::to_string(thread_.second) +
         ", operation " + std::to_string(static_cast<int>(command_.op)) + " spec " +
         std::to_string(command_.spec) + " at " + std::to_string(command_.at) + " other " +
         std::to_string(command_.other) + " value " + std::to_string(command_.value);
}

// ---- a thread's part

std::vector<int> Program::FreePlaces() {
  std::vector<int> places;
  for (int at = 0; at < kObjects; ++at) {
    if (model_.IsFree(id_, at)) places.push_back(at);
  }
  return places;
}

std::vector<int> Program::PlacesOf(std::initializer_list<Class> kinds) {
  return PlacesWhere([&](const ModelObject& object) {
    return object.spec >= 0 &&
           std::find(kinds.begin(), kinds.end(), kSpecs[object.spec].kind) != kinds.end();
  });
}

void Program::Do() {
  const bool quiet = command_.op <= Op::kEmpty;
  command_.read = !quiet || Below(4) == 0;
  reply_ = workers_.at(id_).process->Do(thread_.first, command_);
}

void Program::Make() {
  const std::vector<int> places = FreePlaces();
  const int spec = static_cast<int>(Below(kSpecs.size()));
  if (places.size() <= kObjects / 2 || !model_.IsCertain(id_, spec)) return Drop();
  command_ = {.op = Op::kMake,
              .spec = static_cast<uint8_t>(spec),
              .at = static_cast<uint8_t>(OneOf(places))};
  Do();
  model_.Make(id_, thread_.second, spec, command_.at, reply_);
  Check();
}

void Program::Reshape() {
  const std::vector<int> places = FreePlaces(), tensors = PlacesOf({Class::kTensor});
  if (places.empty() || tensors.empty()) return Drop();
  command_ = {.op = Op::kReshape,
              .at = static_cast<uint8_t>(OneOf(places)),
              .other = static_cast<uint8_t>(OneOf(tensors))};
  Do();
  model_.Reshape(id_, thread_.second, command_.other, command_.at);
  Check();
}

void Program::Push() {
  const std::vector<int> batches = PlacesOf({Class::kImageBatch, Class::kTensorBatch});
  if (batches.empty()) return Make();
  const int batch = OneOf(batches);
  const Class kind = kSpecs[model_.process(id_).objects.at(batch).spec].kind;
  const std::vector<int> members =
      PlacesOf({kind == Class::kImageBatch ? Class::kImage : Class::kTensor});
  if (members.empty()) return Make();
  command_ = {.op = Op::kPush,
              .at = static_cast<uint8_t>(batch),
              .other = static_cast<uint8_t>(OneOf(members))};
  Do();
  model_.Push(id_, batch, command_.other);
  Check();
}

void Program::Empty() {
  const std::vector<int> batches = PlacesOf({Class::kImageBatch, Class::kTensorBatch});
  if (batches.empty()) return Drop();
  command_ = {.op = Op::kEmpty, .at = static_cast<uint8_t>(OneOf(batches))};
  Do();
  model_.Empty(id_, thread_.second, command_.at);
  Check();
}

void Program::Drop() {
  const std::vector<int> places = PlacesWhere([](const ModelObject&) { return true; });
  command_ = {.op = Op::kRead};
  if (!places.empty()) {
    command_ = {.op = Op::kDrop, .at = static_cast<uint8_t>(OneOf(places))};
  }
  Do();
  if (!places.empty()) model_.Drop(id_, thread_.second, command_.at);
  Check();
}

void Program::Limit() {
  const uint64_t limit = Below(8) == 0 ? 0 : Below(3) == 0 ? uint64_t{1} << 40 : Below(kMostCached);
  command_ = {.op = Op::kLimit, .value = static_cast<int64_t>(limit)};
  Do();
  if (reply_.limit != command_.value) throw Differs("the limit does not read back");
  model_.SetLimit(id_, limit);
  ++done_["process limits set"];
  Check();
}

void Program::Clear() {
  const bool of_thread = Below(2) == 0;
  command_ = {.op = of_thread ? Op::kClearThread : Op::kClearProcess};
  Do();
  model_.Clear(id_, of_thread ? std::optional(thread_.second) : std::nullopt);
  ++done_["clears"];
  Check();
}

}  // namespace nvcv_cached::contract
