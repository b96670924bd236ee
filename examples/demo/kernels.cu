// The pipeline's steps on a GPU, in integers: what pipeline_host.cc says, bit by bit.
//
// kernels.inc is what the driver compiles at run time; after a change here:
//   nvcc -ptx -arch=compute_75 -o kernels.ptx kernels.cu, and its text goes into kernels.inc, with
//   .version 7.0 and .target sm_52 for older drivers and GPUs (tests/python/test_demo.py compares)
// Every array is of rows of `pitch` bytes; each thread makes one element, `sums` and `checksum`
// loop.
using u8 = unsigned char;
using u64 = unsigned long long;

constexpr int kChannels = 3, kCells = 8;
constexpr u64 kWeight = 0x9E3779B97F4A7C15;

template <class T>
__device__ T* Row(T* base, long long pitch, int y) {
  return reinterpret_cast<T*>(reinterpret_cast<char*>(base) + y * pitch);
}
template <class T>
__device__ const T* Row(const T* base, long long pitch, int y) {
  return reinterpret_cast<const T*>(reinterpret_cast<const char*>(base) + y * pitch);
}
__device__ int X() { return blockIdx.x * blockDim.x + threadIdx.x; }
__device__ int Clamp(int value, int low, int high) { return min(max(value, low), high); }

struct Tap {
  int first, second, weight;
};

__device__ Tap TapOf(int index, int source, int target) {
  long long position = (2LL * index + 1) * source * 256 / (2LL * target) - 128;
  position = min(max(position, 0LL), (source - 1) * 256LL);
  const int first = static_cast<int>(position >> 8);
  return {first, min(first + 1, source - 1), static_cast<int>(position & 255)};
}

__device__ long long Mean(const u64* sums, int channel, long long count) {
  return (static_cast<long long>(sums[channel]) + count / 2) / count;
}

// `width` is in bytes.
extern "C" __global__ void copy(const u8* in, long long in_pitch, u8* out, long long out_pitch,
                                int height, int width) {
  const int x = X(), y = blockIdx.y;
  if (x < width && y < height) Row(out, out_pitch, y)[x] = Row(in, in_pitch, y)[x];
}

// From `source` rows to `height`; `width` counts elements of a row.
extern "C" __global__ void resize_rows(const u8* in, long long in_pitch, int* out,
                                       long long out_pitch, int height, int width, int source) {
  const int x = X(), y = blockIdx.y;
  if (x >= width || y >= height) return;
  const Tap tap = TapOf(y, source, height);
  Row(out, out_pitch, y)[x] = Row(in, in_pitch, tap.first)[x] * (256 - tap.weight) +
                              Row(in, in_pitch, tap.second)[x] * tap.weight;
}

// From `source` pixels a row to `width` elements a row.
extern "C" __global__ void resize_columns(const int* in, long long in_pitch, u8* out,
                                          long long out_pitch, int height, int width, int source) {
  const int x = X(), y = blockIdx.y;
  if (x >= width || y >= height) return;
  const Tap tap = TapOf(x / kChannels, source, width / kChannels);
  const int* row = Row(in, in_pitch, y);
  const int c = x % kChannels;
  const int total = row[tap.first * kChannels + c] * (256 - tap.weight) +
                    row[tap.second * kChannels + c] * tap.weight;
  Row(out, out_pitch, y)[x] = static_cast<u8>((total + 32768) >> 16);
}

extern "C" __global__ void blur_rows(const u8* in, long long in_pitch, int* out,
                                     long long out_pitch, int height, int width) {
  const int taps[5] = {1, 4, 6, 4, 1};
  const int x = X(), y = blockIdx.y;
  if (x >= width || y >= height) return;
  int total = 0;
  for (int k = 0; k < 5; ++k)
    total += taps[k] * Row(in, in_pitch, Clamp(y + k - 2, 0, height - 1))[x];
  Row(out, out_pitch, y)[x] = total;
}

extern "C" __global__ void blur_columns(const int* in, long long in_pitch, u8* out,
                                        long long out_pitch, int height, int width) {
  const int taps[5] = {1, 4, 6, 4, 1};
  const int x = X(), y = blockIdx.y;
  if (x >= width || y >= height) return;
  const int pixel = x / kChannels, c = x % kChannels;
  int total = 128;
  for (int k = 0; k < 5; ++k) {
    total += taps[k] *
             Row(in, in_pitch, y)[Clamp(pixel + k - 2, 0, width / kChannels - 1) * kChannels + c];
  }
  Row(out, out_pitch, y)[x] = static_cast<u8>(total >> 8);
}

// Adds each channel's sum to sums[0..2]; with `spread`, its distances from the mean to sums[3..5].
extern "C" __global__ void sums(const u8* in, long long pitch, u64* sums, int height, int width,
                                int spread) {
  const int c = X();
  if (c >= width) return;
  const long long count = static_cast<long long>(height) * (width / kChannels);
  const int mean = spread ? static_cast<int>(Mean(sums, c % kChannels, count)) : 0;
  u64 total = 0;
  for (int y = 0; y < height; ++y) total += abs(Row(in, pitch, y)[c] - mean);
  atomicAdd(&sums[c % kChannels + (spread ? kChannels : 0)], total);
}

extern "C" __global__ void normalise(const u8* in, long long in_pitch, short* out,
                                     long long out_pitch, int height, int width, const u64* sums) {
  const int x = X(), y = blockIdx.y;
  if (x >= width || y >= height) return;
  const int c = x % kChannels;
  const long long count = static_cast<long long>(height) * (width / kChannels);
  const long long deviation = max(static_cast<long long>(sums[c + kChannels]) / count, 1LL);
  const int scale = static_cast<int>(65536 / deviation);
  const int value = (Row(in, in_pitch, y)[x] - static_cast<int>(Mean(sums, c, count))) * scale >> 8;
  Row(out, out_pitch, y)[x] = static_cast<short>(Clamp(value, -32768, 32767));
}

// A thread for each cell's channel.
extern "C" __global__ void reduce(const short* in, long long in_pitch, int* out,
                                  long long out_pitch, int height, int width) {
  const int x = X(), y = blockIdx.y;
  if (x >= kCells * kChannels || y >= kCells) return;
  const int rows = height / kCells, columns = width / kChannels / kCells, cell = x / kChannels;
  int total = 0;
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) {
      total += Row(in, in_pitch, y * rows + i)[(cell * columns + j) * kChannels + x % kChannels];
    }
  }
  Row(out, out_pitch, y)[x] = total;
}

template <class T>
__device__ void Weigh(const T* in, long long pitch, u64* sum, int height, int width) {
  const int x = X();
  if (x >= width) return;
  u64 total = 0;
  for (int y = 0; y < height; ++y) {
    const u64 place = 2 * (static_cast<u64>(y) * width + x) + 1;
    total += static_cast<u64>(static_cast<long long>(Row(in, pitch, y)[x])) * (place * kWeight);
  }
  atomicAdd(sum, total);
}

extern "C" __global__ void weigh_u8(const u8* in, long long pitch, u64* sum, int height,
                                    int width) {
  Weigh(in, pitch, sum, height, width);
}
extern "C" __global__ void weigh_s16(const short* in, long long pitch, u64* sum, int height,
                                     int width) {
  Weigh(in, pitch, sum, height, width);
}
extern "C" __global__ void weigh_s32(const int* in, long long pitch, u64* sum, int height,
                                     int width) {
  Weigh(in, pitch, sum, height, width);
}
