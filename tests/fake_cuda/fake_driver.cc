// A CUDA driver for machines without one: libcuda.so.1 with what CudaDriver asks for, over shared
// memory and threads.
//
// It is for tests of the machinery: daemon and clients map memory between processes, streams run
// late and apart, a stream can be held up by cuStreamWaitValue32. It runs no kernels, its graphs do
// nothing, and it knows no capture modes: what a GPU's driver really does is proven on a GPU alone
// (tests/gpu).
//
// FAKE_CUDA_DIR and FAKE_CUDA_BYTES as in fake_memory.h; FAKE_CUDA_DEVICES (1), of which
// CUDA_VISIBLE_DEVICES names some by number; FAKE_CUDA_MIG=N: one GPU divided by MIG, of which a
// process sees the instance that CUDA_VISIBLE_DEVICES names, or the first;
// FAKE_CUDA_COMPUTE_MODE (0), FAKE_CUDA_MPS (0), FAKE_CUDA_VERSION (13000); FAKE_CUDA_LACKS=NAME:
// a driver without that function; FAKE_CUDA_FAIL=NAME:CODE makes that function fail once the file
// FAKE_CUDA_DIR/fail exists, FAKE_CUDA_HOLD=NAME makes it last as long as FAKE_CUDA_DIR/hold is
// there.
#include <cuda.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "proto/cuda_driver.h"
#include "tests/fake_cuda/fake_memory.h"
#include "tests/fake_cuda/fake_stream.h"

namespace fake_cuda {

struct Context {
  int device = 0;
  uint64_t id = 0;
  int retained = 0;
  Stream* legacy = nullptr;
};
struct Graph {};

namespace {

struct Driver {
  std::mutex mutex;
  pid_t pid = 0;
  std::vector<int> devices;  // those that the process sees, in its order
  Memory memory;
  std::deque<Context> contexts;
  std::map<int, Context*> primary;
  std::vector<Stream*> streams;
  uint64_t next_stream = 3;
  uint64_t next_context = 1;
};

Driver& The() {
  static Driver* driver = new Driver;
  return *driver;
}

thread_local std::vector<Context*> current;
thread_local std::map<Context*, Stream*> own_streams;
thread_local unsigned long long calls_of_thread = 0;

int Number(const char* name, int fallback) {
  const char* value = std::getenv(name);
  return value == nullptr ? fallback : std::atoi(value);
}

// The failure that a test asked for, or success.
CUresult Failure(const char* function) {
  const char* asked = std::getenv("FAKE_CUDA_FAIL");
  const char* directory = std::getenv("FAKE_CUDA_DIR");
  const char* held = std::getenv("FAKE_CUDA_HOLD");
  while (held != nullptr && directory != nullptr && std::strcmp(held, function) == 0 &&
         ::access((std::string(directory) + "/hold").c_str(), F_OK) == 0) {
    ::usleep(1000);
  }
  if (asked == nullptr || directory == nullptr) return CUDA_SUCCESS;
  const std::string text = asked;
  const size_t colon = text.find(':');
  if (text.substr(0, colon) != function) return CUDA_SUCCESS;
  if (::access((std::string(directory) + "/fail").c_str(), F_OK) != 0) return CUDA_SUCCESS;
  return static_cast<CUresult>(std::atoi(text.c_str() + colon + 1));
}

std::string MigName(int instance) {
  char text[48];
  std::snprintf(text, sizeof(text), "MIG-fa000000-0000-0000-0000-0000000000%02x", instance);
  return text;
}

Context* Now() { return current.empty() ? nullptr : current.back(); }

// Under the mutex.
Stream* NewStream(Context* context, uint64_t id, Kind kind) {
  return The().streams.emplace_back(new Stream(reinterpret_cast<CUcontext>(context), id, kind));
}

// What is submitted next waits for what its default stream's synchronisation makes it wait for.
void Synchronise(Stream* stream) {
  if (stream->kind() == Kind::kMade) return;
  std::vector<std::shared_ptr<Point>> points;
  {
    std::lock_guard lock(The().mutex);
    for (Stream* other : The().streams) {
      const bool pair = stream->kind() == Kind::kLegacy ? other->kind() == Kind::kPerThread
                                                        : other->kind() == Kind::kLegacy;
      if (!pair || other->context() != stream->context()) continue;
      if (other->capturing() == nullptr && !other->idle()) points.push_back(other->Mark());
    }
  }
  for (auto& point : points) stream->Push([point] { point->Wait(); });
}

Stream* Resolve(CUstream handle) {
  const auto number = reinterpret_cast<uintptr_t>(handle);
  if (number > 2) return reinterpret_cast<Stream*>(handle);
  Context* context = Now();
  if (context == nullptr) return nullptr;
  std::lock_guard lock(The().mutex);
  if (number == 2) {
    Stream*& own = own_streams[context];
    if (own == nullptr) own = NewStream(context, The().next_stream++, Kind::kPerThread);
    return own;
  }
  if (context->legacy == nullptr) {
    context->legacy = NewStream(context, 1, Kind::kLegacy);
  }
  return context->legacy;
}

template <class F>
CUresult On(CUstream handle, F&& work) {
  Stream* stream = Resolve(handle);
  if (stream == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  Synchronise(stream);
  stream->Push(std::forward<F>(work));
  return CUDA_SUCCESS;
}

void* At(CUdeviceptr pointer) { return reinterpret_cast<void*>(pointer); }

}  // namespace

namespace functions {

template <class F>
struct NotSupported;
template <class... A>
struct NotSupported<CUresult (*)(A...)> {
  static CUresult Call(A...) { return CUDA_ERROR_NOT_SUPPORTED; }
};
#define FAKE_CUDA_NOT_SUPPORTED(Name) \
  constexpr decltype(&::cu##Name) Name = &NotSupported<decltype(&::cu##Name)>::Call;
FAKE_CUDA_NOT_SUPPORTED(ModuleLoadData)
FAKE_CUDA_NOT_SUPPORTED(ModuleGetFunction)
FAKE_CUDA_NOT_SUPPORTED(LaunchKernel)

CUresult Init(unsigned) {
  if (const CUresult failure = Failure("cuInit")) return failure;
  The().pid = ::getpid();
  std::vector<int>& devices = The().devices;
  devices.clear();
  const int instances = Number("FAKE_CUDA_MIG", 0);
  const int all = instances != 0 ? 1 : Number("FAKE_CUDA_DEVICES", 1);
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (instances != 0 && visible != nullptr && std::strncmp(visible, "MIG-", 4) == 0) {
    for (int instance = 0; instance < instances; ++instance) {
      if (MigName(instance) == visible) devices.push_back(instance);
    }
  } else if (visible == nullptr) {
    for (int device = 0; device < all; ++device) devices.push_back(device);
  } else {
    std::stringstream names(visible);
    for (std::string name; std::getline(names, name, ',');) {
      const int device = std::atoi(name.c_str());
      if (device >= 0 && device < all) devices.push_back(device);
    }
  }
  return devices.empty() ? CUDA_ERROR_NO_DEVICE : CUDA_SUCCESS;
}
CUresult DriverGetVersion(int* version) {
  *version = Number("FAKE_CUDA_VERSION", 13000);
  return CUDA_SUCCESS;
}
CUresult GetErrorName(CUresult error, const char** name) {
  static thread_local char text[40];
  std::snprintf(text, sizeof(text), "CUDA_ERROR_%d", static_cast<int>(error));
  *name = error == CUDA_ERROR_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : text;
  return CUDA_SUCCESS;
}
CUresult GetErrorString(CUresult, const char** text) {
  *text = "of the fake driver";
  return CUDA_SUCCESS;
}

// ---- devices and contexts

CUresult DeviceGetCount(int* count) {
  *count = static_cast<int>(The().devices.size());
  return CUDA_SUCCESS;
}
CUresult DeviceGet(CUdevice* device, int index) {
  if (index < 0 || index >= static_cast<int>(The().devices.size())) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  *device = index;
  return CUDA_SUCCESS;
}
CUresult DeviceGetName(char* name, int length, CUdevice) {
  const bool mig = Number("FAKE_CUDA_MIG", 0) != 0;
  std::snprintf(name, static_cast<size_t>(length), mig ? "Fake GPU MIG 1g.1gb" : "Fake GPU");
  return CUDA_SUCCESS;
}
CUresult DeviceGetUuid(CUuuid* uuid, CUdevice device) {
  std::memset(uuid->bytes, 0, sizeof(uuid->bytes));
  uuid->bytes[0] = static_cast<char>(0xfa);
  uuid->bytes[15] = static_cast<char>(The().devices[static_cast<size_t>(device)]);
  return CUDA_SUCCESS;
}
CUresult DeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice) {
  switch (static_cast<int>(attribute)) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_MODE:
      *value = Number("FAKE_CUDA_COMPUTE_MODE", 0);
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT:
      *value = 32;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT:
      *value = 512;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_INTEGRATED:
      *value = 0;
      return CUDA_SUCCESS;
    case 133:  // MPS
      if (Number("FAKE_CUDA_VERSION", 13000) < 12040) return CUDA_ERROR_INVALID_VALUE;
      *value = Number("FAKE_CUDA_MPS", 0);
      return CUDA_SUCCESS;
    default:
      *value = 1;
      return CUDA_SUCCESS;
  }
}
CUresult DeviceTotalMem(size_t* bytes, CUdevice) {
  *bytes = The().memory.total();
  return CUDA_SUCCESS;
}
CUresult DeviceGetPCIBusId(char* text, int length, CUdevice device) {
  std::snprintf(text, static_cast<size_t>(length), "0000:%02x:00.0",
                The().devices[static_cast<size_t>(device)] + 1);
  return CUDA_SUCCESS;
}
CUresult DevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  if (const CUresult failure = Failure("cuDevicePrimaryCtxRetain")) return failure;
  if (::getpid() != The().pid) return CUDA_ERROR_NOT_INITIALIZED;
  std::lock_guard lock(The().mutex);
  Context*& primary = The().primary[device];
  if (primary == nullptr) {
    primary = &The().contexts.emplace_back();
    primary->device = device;
    primary->id = The().next_context++;
  }
  ++primary->retained;
  *context = reinterpret_cast<CUcontext>(primary);
  return CUDA_SUCCESS;
}
CUresult DevicePrimaryCtxRelease(CUdevice device) {
  std::lock_guard lock(The().mutex);
  Context*& primary = The().primary[device];
  if (primary == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (--primary->retained <= 0) primary = nullptr;
  return CUDA_SUCCESS;
}
CUresult DevicePrimaryCtxSetFlags(CUdevice, unsigned) { return CUDA_SUCCESS; }
CUresult DevicePrimaryCtxReset(CUdevice device) {
  std::lock_guard lock(The().mutex);
  if (Context* primary = The().primary[device]) {
    primary->id = The().next_context++;
    primary->legacy = nullptr;
  }
  return CUDA_SUCCESS;
}
CUresult CtxGetCurrent(CUcontext* context) {
  *context = reinterpret_cast<CUcontext>(Now());
  return CUDA_SUCCESS;
}
CUresult CtxSetCurrent(CUcontext context) {
  if (!current.empty()) current.pop_back();
  if (context != nullptr) current.push_back(reinterpret_cast<Context*>(context));
  return CUDA_SUCCESS;
}
CUresult CtxPushCurrent(CUcontext context) {
  current.push_back(reinterpret_cast<Context*>(context));
  return CUDA_SUCCESS;
}
CUresult CtxPopCurrent(CUcontext* context) {
  if (current.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  *context = reinterpret_cast<CUcontext>(current.back());
  current.pop_back();
  return CUDA_SUCCESS;
}
CUresult CtxGetDevice(CUdevice* device) {
  if (Now() == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  *device = Now()->device;
  return CUDA_SUCCESS;
}
CUresult CtxGetId(CUcontext context, unsigned long long* id) {
  const Context* asked = context == nullptr ? Now() : reinterpret_cast<Context*>(context);
  if (asked == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  *id = asked->id;
  return CUDA_SUCCESS;
}
CUresult CtxSetLimit(CUlimit, size_t) { return CUDA_SUCCESS; }

// ---- memory

CUresult MemAlloc(CUdeviceptr* pointer, size_t bytes) {
  if (const CUresult failure = Failure("cuMemAlloc")) return failure;
  if (Now() == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  return The().memory.Allocate(pointer, bytes);
}
CUresult MemFree(CUdeviceptr pointer) {
  if (const CUresult failure = Failure("cuMemFree")) return failure;
  return The().memory.Free(pointer);
}
CUresult MemGetInfo(size_t* free, size_t* total) {
  if (const CUresult failure = Failure("cuMemGetInfo")) return failure;
  *free = The().memory.free();
  *total = The().memory.total();
  return CUDA_SUCCESS;
}
CUresult MemGetAddressRange(CUdeviceptr* base, size_t* size, CUdeviceptr pointer) {
  return The().memory.Range(base, size, pointer);
}
CUresult MemAllocAsync(CUdeviceptr* pointer, size_t bytes, CUstream) {
  return MemAlloc(pointer, bytes);
}
CUresult MemFreeAsync(CUdeviceptr pointer, CUstream stream) {
  return On(stream, [pointer] { The().memory.Free(pointer); });
}
CUresult MemsetD8Async(CUdeviceptr pointer, unsigned char value, size_t count, CUstream stream) {
  return On(stream, [=] { std::memset(At(pointer), value, count); });
}
CUresult MemsetD32Async(CUdeviceptr pointer, unsigned value, size_t count, CUstream stream) {
  return On(stream, [=] { std::fill_n(static_cast<unsigned*>(At(pointer)), count, value); });
}
CUresult MemcpyDtoHAsync(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
  return On(stream, [=] { std::memcpy(to, At(from), bytes); });
}
CUresult Memcpy2DAsync(const CUDA_MEMCPY2D* asked, CUstream stream) {
  const CUDA_MEMCPY2D copy = *asked;
  const bool to_device = copy.dstMemoryType == CU_MEMORYTYPE_DEVICE;
  const bool from_device = copy.srcMemoryType == CU_MEMORYTYPE_DEVICE;
  return On(stream, [=] {
    auto* const to = static_cast<char*>(to_device ? At(copy.dstDevice) : copy.dstHost);
    const auto* const from =
        static_cast<const char*>(from_device ? At(copy.srcDevice) : copy.srcHost);
    for (size_t row = 0; row < copy.Height; ++row) {
      std::memcpy(to + row * copy.dstPitch, from + row * copy.srcPitch, copy.WidthInBytes);
    }
  });
}
CUresult StreamSynchronize(CUstream handle) {
  Stream* stream = Resolve(handle);
  if (stream == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  Synchronise(stream);
  stream->Mark()->Wait();
  return CUDA_SUCCESS;
}
CUresult MemsetD8(CUdeviceptr pointer, unsigned char value, size_t count) {
  if (const CUresult failed = MemsetD8Async(pointer, value, count, nullptr)) return failed;
  return StreamSynchronize(nullptr);
}
CUresult MemcpyDtoH(void* to, CUdeviceptr from, size_t bytes) {
  if (const CUresult failed = MemcpyDtoHAsync(to, from, bytes, nullptr)) return failed;
  return StreamSynchronize(nullptr);
}
CUresult MemcpyHtoD(CUdeviceptr to, const void* from, size_t bytes) {
  if (const CUresult failed = On(nullptr, [=] { std::memcpy(At(to), from, bytes); })) return failed;
  return StreamSynchronize(nullptr);
}
CUresult MemHostRegister(void*, size_t, unsigned) { return CUDA_SUCCESS; }
CUresult MemHostGetDevicePointer(CUdeviceptr* pointer, void* memory, unsigned) {
  *pointer = reinterpret_cast<CUdeviceptr>(memory);
  return CUDA_SUCCESS;
}
CUresult IpcGetMemHandle(CUipcMemHandle* handle, CUdeviceptr pointer) {
  if (const CUresult failure = Failure("cuIpcGetMemHandle")) return failure;
  return The().memory.Export(handle, pointer);
}
CUresult IpcOpenMemHandle(CUdeviceptr* pointer, CUipcMemHandle handle, unsigned) {
  if (const CUresult failure = Failure("cuIpcOpenMemHandle")) return failure;
  if (Now() == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  return The().memory.Open(pointer, handle);
}
CUresult IpcCloseMemHandle(CUdeviceptr pointer) { return The().memory.Close(pointer); }
CUresult PointerGetAttribute(void* data, CUpointer_attribute attribute, CUdeviceptr pointer) {
  CUdeviceptr base = 0;
  if (const CUresult unknown = The().memory.Range(&base, nullptr, pointer)) return unknown;
  if (attribute != CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) return CUDA_ERROR_NOT_SUPPORTED;
  *static_cast<int*>(data) = Now() == nullptr ? 0 : Now()->device;
  return CUDA_SUCCESS;
}

// ---- streams and events

CUresult StreamCreateWithPriority(CUstream* stream, unsigned, int) {
  if (Now() == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  std::lock_guard lock(The().mutex);
  *stream = reinterpret_cast<CUstream>(NewStream(Now(), The().next_stream++, Kind::kMade));
  return CUDA_SUCCESS;
}
CUresult StreamCreate(CUstream* stream, unsigned flags) {
  return StreamCreateWithPriority(stream, flags, 0);
}
CUresult StreamDestroy(CUstream) { return CUDA_SUCCESS; }
CUresult StreamGetId(CUstream handle, unsigned long long* id) {
  Stream* stream = Resolve(handle);
  if (stream == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  *id = stream->id();
  return CUDA_SUCCESS;
}
CUresult StreamGetCtx(CUstream handle, CUcontext* context) {
  Stream* stream = Resolve(handle);
  if (stream == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  *context = stream->context();
  return CUDA_SUCCESS;
}
CUresult StreamWriteValue64(CUstream stream, CUdeviceptr pointer, cuuint64_t value, unsigned) {
  return On(stream, [=] {
    __atomic_store_n(static_cast<cuuint64_t*>(At(pointer)), value, __ATOMIC_RELEASE);
  });
}
CUresult StreamWaitValue32(CUstream stream, CUdeviceptr pointer, cuuint32_t value, unsigned flags) {
  return On(stream, [=] {
    while (true) {
      const cuuint32_t now =
          __atomic_load_n(static_cast<cuuint32_t*>(At(pointer)), __ATOMIC_ACQUIRE);
      const bool equal = (flags & 3) == CU_STREAM_WAIT_VALUE_EQ;
      if (equal ? now == value : static_cast<int32_t>(now - value) >= 0) return;
      ::usleep(50);
    }
  });
}
CUresult LaunchHostFunc(CUstream stream, CUhostFn function, void* data) {
  return On(stream, [=] { function(data); });
}
CUresult EventCreate(CUevent* event, unsigned) {
  *event = reinterpret_cast<CUevent>(new Event);
  return CUDA_SUCCESS;
}
CUresult EventRecord(CUevent handle, CUstream stream_handle) {
  if (const CUresult failure = Failure("cuEventRecord")) return failure;
  auto* event = reinterpret_cast<Event*>(handle);
  Stream* stream = Resolve(stream_handle);
  if (stream == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  Synchronise(stream);
  std::lock_guard lock(event->mutex);
  event->last = stream->Mark();
  return CUDA_SUCCESS;
}
// Reached once every stream of the context has come to where it is now.
CUresult CtxRecordEvent(CUcontext context, CUevent handle) {
  auto* event = reinterpret_cast<Event*>(handle);
  std::vector<std::shared_ptr<Point>> points;
  bool captures = false;
  {
    std::lock_guard lock(The().mutex);
    for (Stream* stream : The().streams) {
      if (stream->context() != context) continue;
      if (stream->capturing() != nullptr) {
        stream->LoseCapture();
        captures = true;
      } else {
        points.push_back(stream->Mark());
      }
    }
  }
  if (captures) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  auto all = std::make_shared<Point>();
  std::thread([points, all] {
    for (const auto& point : points) point->Wait();
    all->Reach();
  }).detach();
  std::lock_guard lock(event->mutex);
  event->last = all;
  return CUDA_SUCCESS;
}
CUresult EventQuery(CUevent handle) {
  if (const CUresult failure = Failure("cuEventQuery")) return failure;
  auto* event = reinterpret_cast<Event*>(handle);
  std::lock_guard lock(event->mutex);
  return event->last == nullptr || event->last->reached() ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}
CUresult StreamWaitEvent(CUstream stream, CUevent handle, unsigned) {
  auto* event = reinterpret_cast<Event*>(handle);
  std::shared_ptr<Point> point;
  {
    std::lock_guard lock(event->mutex);
    point = event->last;
  }
  if (point == nullptr) return CUDA_SUCCESS;
  return On(stream, [point] { point->Wait(); });
}
CUresult EventDestroy(CUevent) { return CUDA_SUCCESS; }

// ---- capture and graphs

CUresult StreamIsCapturing(CUstream handle, CUstreamCaptureStatus* status) {
  if (const CUresult failure = Failure("cuStreamIsCapturing")) return failure;
  Stream* stream = Resolve(handle);
  if (stream == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  *status = stream->is_lost()                ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
            : stream->capturing() != nullptr ? CU_STREAM_CAPTURE_STATUS_ACTIVE
                                             : CU_STREAM_CAPTURE_STATUS_NONE;
  return CUDA_SUCCESS;
}
CUresult StreamBeginCapture(CUstream handle, CUstreamCaptureMode) {
  Stream* stream = Resolve(handle);
  if (stream == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  stream->Capture(new Graph);
  return CUDA_SUCCESS;
}
CUresult StreamEndCapture(CUstream handle, CUgraph* graph) {
  Stream* stream = Resolve(handle);
  if (stream == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  const bool is_lost = stream->is_lost();
  *graph = is_lost ? nullptr : reinterpret_cast<CUgraph>(stream->capturing());
  stream->Capture(nullptr);
  return is_lost ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS;
}
CUresult ThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
  static thread_local CUstreamCaptureMode mine = CU_STREAM_CAPTURE_MODE_GLOBAL;
  std::swap(mine, *mode);
  return CUDA_SUCCESS;
}

// How many calls the calling thread has made, of those that CudaDriver asks for.
CUresult FakeCalls(unsigned long long* calls) {
  *calls = calls_of_thread;
  return CUDA_SUCCESS;
}

}  // namespace functions

template <class Type, Type function>
struct Counted;
template <class... A, CUresult (*function)(A...)>
struct Counted<CUresult (*)(A...), function> {
  static CUresult Call(A... arguments) {
    ++calls_of_thread;
    return function(arguments...);
  }
};

}  // namespace fake_cuda

extern "C" __attribute__((visibility("default"))) CUresult cuGetProcAddress_v2(
    const char* symbol, void** function, int version, cuuint64_t,
    CUdriverProcAddressQueryResult* found) {
  static const std::map<std::string, void*> known = [] {
    std::map<std::string, void*> all;
#define FAKE_CUDA_FUNCTION(Name)                                                         \
  {                                                                                      \
    using Type = decltype(&::cu##Name);                                                  \
    all["cu" #Name] = reinterpret_cast<void*>(                                           \
        &fake_cuda::Counted<Type, static_cast<Type>(fake_cuda::functions::Name)>::Call); \
  }
    NVCV_CACHED_CUDA_FUNCTIONS(FAKE_CUDA_FUNCTION)
#undef FAKE_CUDA_FUNCTION
    nvcv_cached::CudaDriver::RecordOnContext record = fake_cuda::functions::CtxRecordEvent;
    all["cuCtxRecordEvent"] = reinterpret_cast<void*>(record);
    all["cuFakeCalls"] = reinterpret_cast<void*>(&fake_cuda::functions::FakeCalls);
    return all;
  }();
  const char* lacks = std::getenv("FAKE_CUDA_LACKS");
  const auto entry = known.find(symbol);
  const bool has = entry != known.end() && (lacks == nullptr || entry->first != lacks);
  *function = version < 12000 || !has ? nullptr : entry->second;
  *found =
      *function == nullptr ? CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND : CU_GET_PROC_ADDRESS_SUCCESS;
  return CUDA_SUCCESS;
}
