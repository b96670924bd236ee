// The public Stream. On the host device its state has no GPU and no handle.
#include <atomic>
#include <functional>
#include <optional>
#include <utility>

#include "client/src/cuda/gpu.h"
#include "client/src/cuda/stream_state.h"
#include "client/src/cuda/thread_streams.h"
#include "client/src/errors.h"
#include "client/src/fork_guard.h"
#include "client/src/local_items.h"
#include "client/src/process_connection.h"
#include "client/src/thread_cache.h"
#include "client/src/wait_scope.h"
#include "nvcv_cached/stream.h"

namespace nvcv_cached {

namespace {

using client::Gpu;
using client::StreamState;

// The calling thread's; null: the host device. A thread that has made objects is asked for it once
// per device: a connection's device never changes.
const Gpu* GpuOfThread() {
  client::RefuseInForkedChild();
  static thread_local const client::DeviceCache* asked = nullptr;
  static thread_local const Gpu* found = nullptr;
  const client::ThreadCache* const mine = client::ThreadCache::MineIfAny();
  if (mine != nullptr && mine->device() == asked && (found == nullptr || found->IsAlive())) {
    return found;
  }
  const std::string uuid =
      client::ValueOrThrow(client::ValueOrThrow(client::ThreadConnection())->GpuUuid());
  const Gpu* const gpu = uuid.empty() ? nullptr : client::ValueOrThrow(Gpu::Open(uuid));
  if (mine != nullptr) {
    asked = mine->device();
    found = gpu;
  }
  return gpu;
}

std::atomic<uint64_t> next_id{1};

// All streams of a device are alike.
class StreamKey final : public ExternalKey {
 public:
  explicit StreamKey(const Gpu* gpu) : gpu_(gpu) {}
  std::size_t hash() const override { return std::hash<const Gpu*>()(gpu_); }
  bool equals(const ExternalKey& other) const override {
    const auto* const key = dynamic_cast<const StreamKey*>(&other);
    return key != nullptr && key->gpu_ == gpu_;
  }

 private:
  const Gpu* const gpu_;
};

std::shared_ptr<StreamState> MakeStream(const Gpu* gpu) {
  CUstream stream = nullptr;
  if (gpu != nullptr) {
    client::RelaxedCapture relaxed(*gpu);
    client::ContextScope scope(*gpu);
    client::ThrowUnlessOk(
        gpu->Check(gpu->driver().StreamCreate(&stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate"));
  }
  return std::make_shared<StreamState>(gpu, stream, gpu != nullptr, next_id++);
}

std::shared_ptr<StreamState> NewStream() {
  const Gpu* const gpu = GpuOfThread();
  const StreamKey key(gpu);
  std::optional<client::LocalItem> item = client::TakeIdle(key);
  if (!item) {
    item.emplace(client::LocalItem{std::make_shared<StreamKey>(key), MakeStream(gpu),
                                   client::Membership::Join()});
  }
  return std::static_pointer_cast<StreamState>(client::Lend(*std::move(item)));
}

CUstream Handle(const Stream& stream) {
  auto* const handle = static_cast<CUstream>(stream.handle());
  return handle == nullptr ? CU_STREAM_LEGACY : handle;
}

// That of the stream's context; a default stream is of the calling thread's. Null: the host device.
const Gpu* GpuOf(const StreamState* state, CUstream handle) {
  if (state != nullptr && state->gpu != nullptr) return state->gpu;
  const Gpu* const mine = GpuOfThread();
  if (mine == nullptr || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD) return mine;
  CUcontext context = nullptr;
  if (mine->driver().StreamGetCtx(handle, &context) != CUDA_SUCCESS) return mine;
  const Gpu* const found = Gpu::Find(context);
  return found == nullptr ? mine : found;
}

}  // namespace

Stream::Stream() : state_(NewStream()) {}
Stream::Stream(void* handle)
    : state_(std::make_shared<StreamState>(
          nullptr, handle == CU_STREAM_LEGACY ? nullptr : static_cast<CUstream>(handle), false,
          next_id++)) {}
Stream::Stream(std::shared_ptr<client::StreamState> state) : state_(std::move(state)) {}
Stream::~Stream() = default;
Stream::Stream(const Stream&) = default;
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(const Stream&) = default;
Stream& Stream::operator=(Stream&&) noexcept = default;

Stream Stream::legacy_default() {
  static auto* const state =
      new std::shared_ptr<StreamState>(std::make_shared<StreamState>(nullptr, nullptr, false, 0));
  return Stream(*state);
}

Stream Stream::current() { return Stream(client::ThreadStreams::Mine().current_state()); }

void Stream::make_current() const { client::ThreadStreams::Mine().SetCurrent(state_); }

void* Stream::handle() const { return state_ == nullptr ? nullptr : state_->handle; }

std::uint64_t Stream::id() const { return state_ == nullptr ? 0 : state_->id; }

bool Stream::is_owned() const { return state_ != nullptr && state_->owned; }

void Stream::synchronize() const {
  const Gpu* const gpu = GpuOf(state_.get(), Handle(*this));
  if (gpu == nullptr) return;
  if (!gpu->IsAlive()) client::ThrowStatus(client::ResetStatus());
  CUresult result;
  {
    client::WaitScope waiting;
    client::ContextScope scope(*gpu);
    result = gpu->driver().StreamSynchronize(Handle(*this));
  }
  client::ThrowUnlessOk(gpu->Check(result, "cuStreamSynchronize"));
}

void Stream::wait_stream(const Stream& other) const {
  const CUstream later = Handle(*this), earlier = Handle(other);
  if (later == earlier) return;
  const Gpu* const of_later = GpuOf(state_.get(), later);
  const Gpu* const of_earlier = GpuOf(other.state_.get(), earlier);
  if (of_later == nullptr || of_earlier == nullptr) return;
  client::ThrowUnlessOk(
      client::ThreadStreams::Mine().Wait({*of_later, later}, {*of_earlier, earlier}));
}

}  // namespace nvcv_cached
