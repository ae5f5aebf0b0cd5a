// What every kernel of a CUDA device has in common: as many blocks as fit stay until the queue of problems is empty.
#pragma once

#include "block_extent.h"
#include "cuda.h"

namespace jaxcpp {
namespace {

constexpr size_t kPadBytes = sizeof(double) * 2 * kMostWarps * kMostSums;
constexpr size_t kQueueBytes = 256;
constexpr int kMostThreads = 256;

// Where a block's memory is: all of it shared, costs apart in global memory, all of it there.
enum Home { kShared, kCostsApart, kApart };

struct Shape {
  Extent extent;
  Which which;
  size_t apart;  // bytes of a block in global memory
};

size_t rounded(size_t bytes) { return (bytes + 255) / 256 * 256; }

// Registers for two blocks of the largest size, so that small ones find room side by side; with many
// nodes to a thread, for one.
template <int kPer>
constexpr int kSideBySide = kPer == 1 || kPer == 2 || kPer == 4 ? 2 : 1;

// A block's memory, and what it works off.
template <int kPer, Home kHome, typename One>
__device__ __forceinline__ void run(int64_t problems, const Shape& shape, char* scratch, char* shared, One one) {
  Contract contract;
  Arena fast{shared, kPadBytes, kBlockAlign};
  Arena slow{scratch + kQueueBytes + blockIdx.x * shape.apart, 0, kBlockAlign};
  Arena* const near = kHome == kApart ? &slow : &fast;
  Arena* const far = kHome == kShared ? &fast : &slow;
  lay_out(&contract, shape.extent, int(blockDim.x) / kLanes, kPer == 0, near, far);
  Block block(reinterpret_cast<double*>(shared));
  work_off(block, problems, reinterpret_cast<uint32_t*>(scratch),
           [&](int64_t index) {
             if (!shape.which.skips(index)) one(block, contract, index);
           });
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
// Measured on an H100 (bench/README.md), but for those of few nodes.
int threads_for(const Extent& extent) {
  if (extent.nodes < kFewNodes) return 32;
  return extent.nodes <= 64 ? 64 : extent.nodes <= 128 ? 128 : 256;
}

// The nearest memory that holds a block, and how its warps look at a column there.
Home home_for(const Extent& extent, int threads, size_t limit, Reach* reach) {
  *reach = reach_of(extent.nodes);
  const bool few = reach->per == 1 || reach->per == 2 || reach->per == 4;
  for (int home = few ? kShared : kCostsApart; home < kApart; ++home) {
    size_t shared, apart;
    count_bytes(extent, threads, reach->per == 0, Home(home), &shared, &apart);
    const size_t room = home == kShared ? limit / 8 : limit;  // costs may not crowd out other blocks
    if (shared <= room) return Home(home);
    reach->split = 1;
  }
  *reach = {0, 1};
  return kApart;
}

// A kernel of a family for every reach and home; `Family::at` names one.
template <typename Family>
const void* kernel_for(Reach reach, Home home) {
  const bool apart = home != kShared;
  if (reach.split == 4) return Family::template at<1, 4, kShared>();
  if (reach.split == 2) return Family::template at<1, 2, kShared>();
  switch (reach.per) {
    case 1:
      return apart ? Family::template at<1, 1, kCostsApart>() : Family::template at<1, 1, kShared>();
    case 2:
      return apart ? Family::template at<2, 1, kCostsApart>() : Family::template at<2, 1, kShared>();
    case 4:
      return apart ? Family::template at<4, 1, kCostsApart>() : Family::template at<4, 1, kShared>();
    case 8:
      return Family::template at<8, 1, kCostsApart>();
    default:
      return home == kApart ? Family::template at<0, 1, kApart>() : Family::template at<0, 1, kCostsApart>();
  }
}

// Blocks for `problems` of a kernel, on the current device.
cudaError_t fit_grid(int64_t problems, Grid* out) {
  int device, processors, resident;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  if (error != cudaSuccess) return error;
  error = cudaFuncSetAttribute(out->kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(out->shared_bytes));
  if (error != cudaSuccess) return error;
  error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, out->kernel, out->threads, out->shared_bytes);
  if (error != cudaSuccess) return error;
  const int64_t most = int64_t(processors) * (resident > 0 ? resident : 1);
  out->blocks = int(problems < most ? problems : most);
  return cudaSuccess;
}

// One pass over `problems` of this extent.
template <typename Family>
cudaError_t plan_grid(const Extent& extent, int64_t problems, Grid* out) {
  int device, limit;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  if (error != cudaSuccess) return error;
  Reach reach;
  out->threads = threads_for(extent);
  const Home home = home_for(extent, out->threads, size_t(limit), &reach);
  count_bytes(extent, out->threads, reach.per == 0, home, &out->shared_bytes, &out->apart);
  out->kernel = kernel_for<Family>(reach, home);
  return fit_grid(problems, out);
}

size_t apart_of(const Grid& grid) { return grid.apart * size_t(grid.blocks); }

// Start a kernel whose arguments begin with a queue, in `memory`, and what is apart, behind it.
cudaError_t start(const Grid& grid, char* memory, void** arguments, cudaStream_t stream) {
  const cudaError_t error = cudaMemsetAsync(memory, 0, kQueueBytes, stream);
  if (error != cudaSuccess) return error;
  return cudaLaunchKernel(grid.kernel, dim3(unsigned(grid.blocks)), dim3(unsigned(grid.threads)), arguments,
                          grid.shared_bytes, stream);
}

template <typename AnyBatch>
cudaError_t start_grid(const AnyBatch& batch, const Grid& grid, const Which& which, char* memory,
                       cudaStream_t stream) {
  AnyBatch copy = batch;
  Shape shape = {Extent(), which, grid.apart};
  if (!measure(batch, &shape.extent)) return cudaErrorInvalidValue;
  void* arguments[] = {&memory, &copy, &shape};
  return start(grid, memory, arguments, stream);
}

char* aligned(void* scratch) { return reinterpret_cast<char*>(rounded(reinterpret_cast<size_t>(scratch))); }

}  // namespace
}  // namespace jaxcpp
