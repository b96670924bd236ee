// A process of the random program: does what it is told, on the thread that is told, and says what
// the cache's counters read then.
//
// Links the client's objects: which lease an object lies on, and whether the daemon has revoked it
// while it is in use, only they know.
#include <dlfcn.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <variant>

#include "client/src/item.h"
#include "client/src/local_items.h"
#include "nvcv_cached/nvcv_cached.h"
#include "tests/contract/protocol.h"
#include "tests/contract/step_clock.h"

namespace nc = nvcv_cached;
using namespace nvcv_cached::contract;

// It exits with objects alive on purpose.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

// The client's coarse clock is the program's.
extern "C" int clock_gettime(clockid_t clock, timespec* now) noexcept {
  using GetTime = int (*)(clockid_t, timespec*);
  static const auto next = reinterpret_cast<GetTime>(::dlsym(RTLD_NEXT, "clock_gettime"));
  if (clock != CLOCK_MONOTONIC_COARSE) return next(clock, now);
  static const auto* const steps = new StepClock(kClockDescriptor);  // for what ends at exit too
  const int64_t ticks = steps->Look();
  now->tv_sec = ticks / 1000;
  now->tv_nsec = ticks % 1000 * 1'000'000;
  return 0;
}

namespace {

using Object = std::variant<std::monostate, nc::Tensor, nc::Image, nc::ImageBatchVarShape,
                            nc::TensorBatch, nc::Buffer, nc::Stream, nc::ExternalCacheItem>;

struct Place {
  Object object;
  const nc::lease_table::Slot* slot = nullptr;  // of the lease that the object made here lies on
  uint64_t stamp = 0;                           // in the first bytes of its memory
};

// Never destroyed before main returns, and then by the library's own rules for live objects.
std::array<Place, kObjects>& Places() {
  static std::array<Place, kObjects> places;
  return places;
}

class Key final : public nc::ExternalKey {
 public:
  explicit Key(int64_t number) : number_(number) {}
  std::size_t hash() const override { return static_cast<std::size_t>(number_); }
  bool equals(const nc::ExternalKey& other) const override {
    const auto* const key = dynamic_cast<const Key*>(&other);
    return key != nullptr && key->number_ == number_;
  }

 private:
  int64_t number_;
};

struct Peek : nc::Resource {
  static const nc::client::Item& ItemOf(const nc::Resource& resource) {
    return *(resource.*(&Peek::item_));
  }
};

Object Make(const SpecOf& spec, int row_align) {
  const auto rows = static_cast<int>(spec.a);
  switch (spec.kind) {
    case Class::kTensor:
      return nc::Tensor({spec.a, spec.b}, nc::DataType::kU8, "HW", row_align);
    case Class::kImage:
      return nc::Image({static_cast<int>(spec.b), rows}, nc::Format::kU8);
    case Class::kImageBatch:
      return nc::ImageBatchVarShape(spec.a);
    case Class::kTensorBatch:
      return nc::TensorBatch(spec.a);
    case Class::kBuffer:
      return nc::Buffer(static_cast<std::size_t>(spec.a));
    case Class::kStream:
      return nc::Stream();
    case Class::kExternalItem:
      return nc::ExternalCacheItem(std::make_shared<Key>(spec.a),
                                   [] { return std::make_shared<int>(7); });
    case Class::kWrapper: {
      auto memory = std::make_shared<std::array<std::byte, 64>>();
      void* const data = memory->data();
      return nc::Tensor::Wrap(data, {8, 8}, nc::DataType::kU8, "HW", {}, {std::move(memory)});
    }
  }
  return {};
}

uint64_t* MemoryOf(const Object& object) {
  if (const auto* tensor = std::get_if<nc::Tensor>(&object)) {
    return static_cast<uint64_t*>(tensor->data());
  }
  if (const auto* image = std::get_if<nc::Image>(&object)) {
    return static_cast<uint64_t*>(image->plane(0).data);
  }
  if (const auto* buffer = std::get_if<nc::Buffer>(&object)) {
    return static_cast<uint64_t*>(buffer->data());
  }
  return nullptr;
}

void Note(Place& place, Reply& reply) {
  std::visit(
      [&](const auto& object) {
        using T = std::decay_t<decltype(object)>;
        if constexpr (std::is_base_of_v<nc::Resource, T>) {
          const nc::client::Item& item = Peek::ItemOf(object);
          place.slot = item.slot;
          reply.bytes = object.cache_bytes();
          if constexpr (std::is_same_v<T, nc::Tensor>) reply.row_bytes = object.stride_bytes(0);
          if (item.slot == nullptr) return;
          reply.slot = item.slot_index;
          reply.cached = !item.word.revoked();
        } else if constexpr (std::is_same_v<T, nc::ExternalCacheItem>) {
          reply.reused = object.was_reused();
        }
      },
      place.object);
  static std::atomic<uint64_t> stamps{1};
  if (uint64_t* const memory = place.slot != nullptr ? MemoryOf(place.object) : nullptr) {
    *memory = place.stamp = stamps++;
  }
}

// Nobody else has been given the memory of what is in use.
void CheckStamp(const Place& place) {
  if (place.stamp == 0) return;
  const uint64_t* const memory = MemoryOf(place.object);
  if (memory == nullptr || *memory == place.stamp) return;
  throw std::runtime_error("the memory of an object in use was written by somebody else");
}

void Drop(Place& place) {
  CheckStamp(place);
  place.stamp = 0;
  place.object = {};
}

template <class Batch, class Member>
bool PushInto(Object& batch, const Object& member) {
  auto* const to = std::get_if<Batch>(&batch);
  if (to != nullptr) to->push_back(std::get<Member>(member));
  return to != nullptr;
}

void Do(const Command& command, Reply& reply) {
  Place& place = Places()[command.at];
  Object& other = Places()[command.other].object;
  switch (command.op) {
    case Op::kMake:
      place.object = Make(kSpecs[command.spec], static_cast<int>(command.value));
      return Note(place, reply);
    case Op::kReshape: {
      const auto& tensor = std::get<nc::Tensor>(other);
      place.object = tensor.reshape({1, tensor.shape()[0], tensor.shape()[1]}, "NHW");
      return Note(place, reply);
    }
    case Op::kDrop:
      return Drop(place);
    case Op::kPush:
      if (!PushInto<nc::ImageBatchVarShape, nc::Image>(place.object, other)) {
        PushInto<nc::TensorBatch, nc::Tensor>(place.object, other);
      }
      return;
    case Op::kEmpty:
      if (auto* images = std::get_if<nc::ImageBatchVarShape>(&place.object)) images->clear();
      if (auto* tensors = std::get_if<nc::TensorBatch>(&place.object)) tensors->clear();
      return;
    case Op::kClearThread:
      return nc::clear_cache(nc::Scope::kThread);
    case Op::kClearProcess:
      return nc::clear_cache();
    case Op::kLimit:
      nc::set_cache_limit_inbytes(command.value);
      reply.limit = nc::get_cache_limit_inbytes();
      return;
    case Op::kReadLimit:
      reply.limit = nc::get_cache_limit_inbytes();
      return;
    default:
      return;
  }
}

Counts CountsOf(const nc::Stats& stats) { return {stats.cache_items, stats.cache_bytes}; }

void Read(const Command& command, Reply& reply) {
  reply.local_items = static_cast<uint64_t>(nc::client::CountLocalItems(nc::Scope::kProcess));
  if (!command.read) return;
  const nc::Stats stats = nc::stats();
  reply.process = CountsOf(stats);
  reply.hits = {stats.hits_exact, stats.hits_size_class, stats.hits_depot, stats.misses};
  reply.thread = CountsOf(nc::stats(nc::Scope::kThread));
}

uint64_t Detached() {
  uint64_t detached = 0;
  for (size_t i = 0; i < kObjects; ++i) {
    const auto* const slot = Places()[i].slot;
    if (slot == nullptr) continue;
    if (nc::lease_table::Look(*slot).word.revoked()) detached |= uint64_t{1} << i;
  }
  return detached;
}

bool Receive(int socket, Command& command) {
  return ::recv(socket, &command, sizeof command, 0) == sizeof command;
}

void Answer(int socket, const Reply& reply) {
  if (::send(socket, &reply, sizeof reply, MSG_NOSIGNAL) != sizeof reply) ::_exit(3);
}

template <class F>
void Attempt(Reply& reply, F&& f) {
  try {
    f();
  } catch (const std::exception& error) {
    std::strncpy(reply.error.data(), error.what(), reply.error.size() - 1);
  }
}

void Serve(int socket) {
  Command command;
  while (Receive(socket, command) && command.op != Op::kLeave) {
    Reply reply;
    Attempt(reply, [&] {
      Do(command, reply);
      Read(command, reply);
    });
    Answer(socket, reply);
  }
}

}  // namespace

int main() {
  Places();
  std::array<std::thread, kThreads> threads;
  Command command;
  while (Receive(kFirstSocket, command) && command.op != Op::kExit) {
    Reply reply;
    Attempt(reply, [&] {
      std::thread& thread = threads[command.at];
      if (command.op == Op::kStart) thread = std::thread(Serve, kFirstSocket + 1 + command.at);
      if (command.op == Op::kJoin) thread.join();
      if (command.op == Op::kLook) reply.detached = Detached();
    });
    Answer(kFirstSocket, reply);
  }
  for (std::thread& thread : threads) {
    if (thread.joinable()) thread.detach();
  }
  return command.op == Op::kExit ? 0 : 1;  // 1: the driver is gone
}
