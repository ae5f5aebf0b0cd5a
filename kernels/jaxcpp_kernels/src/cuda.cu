// A batch on a CUDA device: as many blocks as fit stay until the queue of problems is empty.
#include "cuda.h"

#include "block_path.h"
#include "block_proximal.h"

namespace jaxcpp {
namespace {

constexpr size_t kPadBytes = sizeof(double) * 2 * kMostWarps * kMostSums;
constexpr size_t kQueueBytes = 256;
constexpr int kMostThreads = 256;

// Where a block's memory is: all of it shared, costs apart in global memory, all of it there.
enum Home { kShared, kCostsApart, kApart };

struct Shape {
  Extent extent;
  size_t apart;  // bytes of a block in global memory
};

size_t rounded(size_t bytes) { return (bytes + 255) / 256 * 256; }

// Registers for two blocks of the largest size, so that small ones find room side by side; with many
// nodes to a thread, for one.
template <int kPer>
constexpr int kSideBySide = kPer == 1 || kPer == 2 || kPer == 4 ? 2 : 1;

// A block's memory, and what it works off.
template <int kPer, Home kHome, typename AnyBatch, typename One>
__device__ __forceinline__ void run(const AnyBatch& batch, const Shape& shape, char* scratch, char* shared, One one) {
  Contract contract;
  Arena fast{shared, kPadBytes, kBlockAlign};
  Arena slow{scratch + kQueueBytes + blockIdx.x * shape.apart, 0, kBlockAlign};
  Arena* const near = kHome == kApart ? &slow : &fast;
  Arena* const far = kHome == kShared ? &fast : &slow;
  lay_out(&contract, shape.extent, int(blockDim.x) / kLanes, kPer == 0, near, far);
  Block block(reinterpret_cast<double*>(shared));
  work_off(block, batch.problems, reinterpret_cast<uint32_t*>(scratch),
           [&](int64_t index) { one(block, contract, index); });
}

template <int kPer, Home kHome>
__global__ void __launch_bounds__(kMostThreads, kSideBySide<kPer>) follow(Batch batch, Shape shape, char* scratch) {
  extern __shared__ __align__(16) char shared[];
  run<kPer, kHome>(batch, shape, scratch, shared, [&](Block& block, Contract& contract, int64_t index) {
    follow_at<kPer>(block, batch, contract, index);
  });
}

template <int kPer, Home kHome>
__global__ void __launch_bounds__(kMostThreads, kSideBySide<kPer>) respond(Questions batch, Shape shape, char* scratch) {
  extern __shared__ __align__(16) char shared[];
  run<kPer, kHome>(batch, shape, scratch, shared, [&](Block& block, Contract& contract, int64_t index) {
    respond_at<kPer>(block, batch, contract, index);
  });
}

template <int kPer, Home kHome>
const void* kernel_of(const Batch&) {
  return reinterpret_cast<const void*>(follow<kPer, kHome>);
}

template <int kPer, Home kHome>
const void* kernel_of(const Questions&) {
  return reinterpret_cast<const void*>(respond<kPer, kHome>);
}

template <typename AnyBatch>
const void* kernel_for(const AnyBatch& batch, int per, Home home) {
  const bool apart = home != kShared;
  switch (per) {
    case 1:
      return apart ? kernel_of<1, kCostsApart>(batch) : kernel_of<1, kShared>(batch);
    case 2:
      return apart ? kernel_of<2, kCostsApart>(batch) : kernel_of<2, kShared>(batch);
    case 4:
      return apart ? kernel_of<4, kCostsApart>(batch) : kernel_of<4, kShared>(batch);
    case 8:
      return kernel_of<8, kCostsApart>(batch);
    default:
      return home == kApart ? kernel_of<0, kApart>(batch) : kernel_of<0, kCostsApart>(batch);
  }
}

// Bytes that a block needs, shared and apart.
void count_bytes(const Extent& extent, int threads, bool wide, Home home, size_t* shared, size_t* apart) {
  Contract sizes;
  Arena fast{nullptr, kPadBytes, kBlockAlign}, slow{nullptr, 0, kBlockAlign};
  Arena* const near = home == kApart ? &slow : &fast;
  Arena* const far = home == kShared ? &fast : &slow;
  lay_out(&sizes, extent, threads / kLanes, wide, near, far);
  *shared = fast.used;
  *apart = rounded(slow.used);
}

// Threads of a block: enough to hide a column's latency, few enough for many blocks side by side.
// Measured on an H100 (bench/README.md).
int threads_for(const Extent& extent) { return extent.nodes <= 64 ? 64 : extent.nodes <= 128 ? 128 : 256; }

// The nearest memory that holds a block, and how many nodes each of its threads looks after there.
Home home_for(const Extent& extent, int threads, size_t limit, int* per) {
  *per = nodes_per_lane(extent.nodes);
  const bool few = *per == 1 || *per == 2 || *per == 4;
  for (int home = few ? kShared : kCostsApart; home < kApart; ++home) {
    size_t shared, apart;
    count_bytes(extent, threads, *per == 0, Home(home), &shared, &apart);
    const size_t room = home == kShared ? limit / 8 : limit;  // costs may not crowd out other blocks
    if (shared <= room) return Home(home);
  }
  *per = 0;
  return kApart;
}

template <typename AnyBatch>
cudaError_t planned(const AnyBatch& batch, Launch* out) {
  Shape shape;
  if (!measure(batch, &shape.extent)) return cudaErrorInvalidValue;
  int device, limit, processors, resident;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  if (error != cudaSuccess) return error;
  int per;
  out->threads = threads_for(shape.extent);
  const Home home = home_for(shape.extent, out->threads, size_t(limit), &per);
  count_bytes(shape.extent, out->threads, per == 0, home, &out->shared_bytes, &shape.apart);
  out->kernel = kernel_for(batch, per, home);
  error = cudaFuncSetAttribute(out->kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(out->shared_bytes));
  if (error != cudaSuccess) return error;
  error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, out->kernel, out->threads, out->shared_bytes);
  if (error != cudaSuccess) return error;
  const int64_t most = int64_t(processors) * (resident > 0 ? resident : 1);
  out->blocks = int(batch.problems < most ? batch.problems : most);
  out->scratch_bytes = kQueueBytes + shape.apart * size_t(out->blocks) + kQueueBytes;  // to align
  return cudaSuccess;
}

template <typename AnyBatch>
cudaError_t started(const AnyBatch& batch, const Launch& how, void* scratch, cudaStream_t stream) {
  Shape shape;
  if (!measure(batch, &shape.extent)) return cudaErrorInvalidValue;
  shape.apart = (how.scratch_bytes - 2 * kQueueBytes) / size_t(how.blocks);
  char* memory = reinterpret_cast<char*>(rounded(reinterpret_cast<size_t>(scratch)));
  cudaError_t error = cudaMemsetAsync(memory, 0, kQueueBytes, stream);
  if (error != cudaSuccess) return error;
  AnyBatch copy = batch;
  void* arguments[] = {&copy, &shape, &memory};
  return cudaLaunchKernel(how.kernel, dim3(unsigned(how.blocks)), dim3(unsigned(how.threads)), arguments,
                          how.shared_bytes, stream);
}

template <typename AnyBatch>
bool counted(const AnyBatch& batch) {
  Extent extent;
  return measure(batch, &extent);
}

}  // namespace

bool in_bounds(const Batch& batch) { return counted(batch); }
bool in_bounds(const Questions& batch) { return counted(batch); }

cudaError_t plan_launch(const Batch& batch, Launch* out) { return planned(batch, out); }
cudaError_t plan_launch(const Questions& batch, Launch* out) { return planned(batch, out); }

cudaError_t launch(const Batch& batch, const Launch& how, void* scratch, cudaStream_t stream) {
  return started(batch, how, scratch, stream);
}
cudaError_t launch(const Questions& batch, const Launch& how, void* scratch, cudaStream_t stream) {
  return started(batch, how, scratch, stream);
}

}  // namespace jaxcpp
