// Paths of a batch on a CUDA device.
#include "cuda_run.h"

#include "block_path.h"

namespace jaxcpp {
namespace {

template <int kPer, int kSplit, Home kHome>
__global__ void __launch_bounds__(kMostThreads, kSideBySide<kPer>) follow(const __grid_constant__ Batch batch,
                                                                                const __grid_constant__ Shape shape,
                                                                                char* scratch) {
  extern __shared__ __align__(16) char shared[];
  run<kPer, kHome>(batch.problems, shape, scratch, shared, [&](Block& block, const Contract& contract, int64_t index) {
    follow_at<kPer, kSplit>(block, batch, shape.extent, shape.pass, contract, index);
  });
}

struct Follow {
  template <int kPer, int kSplit, Home kHome>
  static const void* at() {
    return reinterpret_cast<const void*>(follow<kPer, kSplit, kHome>);
  }
};

}  // namespace

bool in_bounds(const Batch& batch) {
  Extent extent;
  return measure(batch, &extent);
}

cudaError_t plan_launch(const Batch& batch, Launch* out) {
  Extent extent;
  if (!measure(batch, &extent)) return cudaErrorInvalidValue;
  cudaError_t error = plan_grid<Follow>(extent, batch.problems, &out->whole);
  if (error == cudaSuccess && measure_joined(batch, &extent))
    error = plan_grid<Follow>(extent, batch.problems, &out->smaller);
  const size_t bytes[] = {scratch_for(out->smaller), scratch_for(out->whole)};
  out->scratch_bytes = bytes[0] > bytes[1] ? bytes[0] : bytes[1];
  return error;
}

cudaError_t launch(const Batch& batch, const Launch& how, void* scratch, cudaStream_t stream) {
  Extent all, joined;
  if (!measure(batch, &all)) return cudaErrorInvalidValue;
  if (!how.smaller.blocks) return start_grid(batch, how.whole, all, kEveryone, scratch, stream);
  if (!measure_joined(batch, &joined)) return cudaErrorInvalidValue;
  const cudaError_t error = start_grid(batch, how.smaller, joined, kSmaller, scratch, stream);
  return error == cudaSuccess ? start_grid(batch, how.whole, all, kLeft, scratch, stream) : error;
}

}  // namespace jaxcpp
