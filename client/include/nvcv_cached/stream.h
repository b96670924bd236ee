/// @class nvcv_cached::Stream
/// The streams that work on borrowed memory goes to. On the host device all of it does nothing.
///
/// THE RULE, as with every stream-ordered allocator: memory that was handed out (data()) may be used
/// on the stream that was the thread's current one then, and on those given to record_stream. Its
/// release waits for nothing: what those streams were given before it is finished before the memory
/// serves anybody else, in any process. Work on other streams is not seen (Options::strict_streams
/// sees all).
///
/// The current stream belongs to the thread: the legacy default stream, until one is made current. A
/// stream may be destroyed once the work on it is submitted, but not while it is current.
/// Thread-safety: like shared_ptr.
#pragma once

#include <cstdint>
#include <memory>

#include "nvcv_cached/export.h"

namespace nvcv_cached {

namespace client {
struct StreamState;
}

class NVCV_CACHED_API Stream {
 public:
  /// A non-blocking stream of this process's device: an idle one of this thread's cache, where it
  /// counts as an item of 0 bytes, or a new one. Its last handle gives it back. Connects if only the
  /// daemon knows the device. Throws DeviceError and the others of Buffer.
  Stream();

  /// A CUstream or cudaStream_t of the device's primary context, not owned: null or 1 is the legacy
  /// default stream, 2 the calling thread's own.
  explicit Stream(void* handle);

  ~Stream();
  Stream(const Stream&);             ///< another handle of the same stream
  Stream(Stream&&) noexcept;         ///< takes over the handle; the other is only to be destroyed
  Stream& operator=(const Stream&);  ///< as the copy
  Stream& operator=(Stream&&) noexcept;  ///< as the move

  /// The same one each time; on the host device a stream like any other.
  static Stream legacy_default();

  static Stream current();  ///< of the calling thread

  /// From here on the calling thread's current one; StreamScope puts the former back.
  void make_current() const;

  void* handle() const;   ///< null: the legacy default stream, or the host device
  bool is_owned() const;  ///< made by Stream(), not of a handle

  /// Counts streams, wrappers too; 0: the default one. A reused stream keeps it.
  std::uint64_t id() const;

  /// Blocks until what was submitted to it is done. Throws DeviceError.
  void synchronize() const;

  /// What is submitted here later runs after what `other` has now.
  void wait_stream(const Stream& other) const;

 private:
  friend class Resource;
  explicit Stream(std::shared_ptr<client::StreamState> state);
  std::shared_ptr<client::StreamState> state_;
};

/// Makes a stream current for a while.
class NVCV_CACHED_API StreamScope {
 public:
  /// Of the calling thread; destroy it on the same one.
  explicit StreamScope(const Stream& stream) : before_(Stream::current()) { stream.make_current(); }
  ~StreamScope() { before_.make_current(); }
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;

 private:
  Stream before_;
};

}  // namespace nvcv_cached
