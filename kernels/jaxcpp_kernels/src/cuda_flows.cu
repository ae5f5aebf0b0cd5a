#include "cuda_flows.h"

#include "cuda_run.h"

namespace jaxcpp {
namespace {

constexpr int kJoinThreads = 64;

__global__ void join(char* scratch, Batch batch, Joined joined) {
  extern __shared__ __align__(16) char shared[];
  Block block(reinterpret_cast<double*>(shared));
  work_off(block, batch.problems, reinterpret_cast<uint32_t*>(scratch),
           [&](int64_t index) { join_at(block, batch, joined, index); });
}

template <Home kHome>
__global__ void __launch_bounds__(kMostThreads) settle(char* scratch, Batch batch, Joined joined, bool are_joined,
                                                       Shape shape) {
  extern __shared__ __align__(16) char shared[];
  run<1, kHome>(batch.problems, shape, scratch, shared, [&](Block& block, Contract& contract, int64_t index) {
    settle_at(block, batch, joined, are_joined, contract, index);
  });
}

bool measure_flows(const Batch& batch, Extent* extent) {
  const bool good = measure(batch, extent);
  extent->flows = true;
  return good;
}

}  // namespace

cudaError_t plan_join(const Batch& batch, Grid* out) {
  out->kernel = reinterpret_cast<const void*>(join);
  out->threads = kJoinThreads;
  out->shared_bytes = kPadBytes;
  return fit_grid(batch.problems, out);
}

cudaError_t start_join(const Batch& batch, const Joined& joined, const Grid& grid, char* memory, cudaStream_t stream) {
  Batch copy = batch;
  Joined where = joined;
  void* arguments[] = {&memory, &copy, &where};
  return start(grid, memory, arguments, stream);
}

cudaError_t plan_flows(const Batch& batch, Grid* out) {
  Extent extent;
  int device, limit;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  if (error != cudaSuccess) return error;
  if (!measure_flows(batch, &extent)) return cudaErrorInvalidValue;
  out->threads = threads_for(extent);
  out->kernel = reinterpret_cast<const void*>(settle<kCostsApart>);
  count_bytes(extent, out->threads, false, kCostsApart, &out->shared_bytes, &out->apart);
  if (out->shared_bytes > size_t(limit)) {
    out->kernel = reinterpret_cast<const void*>(settle<kApart>);
    count_bytes(extent, out->threads, false, kApart, &out->shared_bytes, &out->apart);
  }
  return fit_grid(batch.problems, out);
}

cudaError_t start_flows(const Batch& batch, const Joined& joined, const Grid& grid, const Which& which, char* memory,
                        cudaStream_t stream) {
  Batch copy = batch;
  Joined where = joined;
  bool are_joined = which.mark && which.wanted;
  Shape shape = {Extent(), which, grid.apart};
  if (!measure_flows(are_joined ? joined.batch : batch, &shape.extent)) return cudaErrorInvalidValue;
  void* arguments[] = {&memory, &copy, &where, &are_joined, &shape};
  return start(grid, memory, arguments, stream);
}

}  // namespace jaxcpp
