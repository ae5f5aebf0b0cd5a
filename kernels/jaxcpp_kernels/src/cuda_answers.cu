// Answers near a proposal, of a batch of sides, on a CUDA device.
#include "cuda_run.h"

#include "block_proximal.h"

namespace jaxcpp {
namespace {

template <int kPer, int kSplit, Home kHome>
__global__ void __launch_bounds__(kMostThreads, kSideBySide<kPer>) respond(const __grid_constant__ Questions batch,
                                                                                 const __grid_constant__ Shape shape,
                                                                                 char* scratch) {
  extern __shared__ __align__(16) char shared[];
  run<kPer, kHome>(batch.problems, shape, scratch, shared, [&](Block& block, const Contract& contract, int64_t index) {
    respond_at<kPer, kSplit>(block, batch, contract, index);
  });
}

struct Respond {
  template <int kPer, int kSplit, Home kHome>
  static const void* at() {
    return reinterpret_cast<const void*>(respond<kPer, kSplit, kHome>);
  }
};

}  // namespace

bool in_bounds(const Questions& batch) {
  Extent extent;
  return measure(batch, &extent);
}

cudaError_t plan_launch(const Questions& batch, Launch* out) {
  Extent extent;
  if (!measure(batch, &extent)) return cudaErrorInvalidValue;
  const cudaError_t error = plan_grid<Respond>(extent, batch.problems, &out->whole);
  out->scratch_bytes = scratch_for(out->whole);
  return error;
}

cudaError_t launch(const Questions& batch, const Launch& how, void* scratch, cudaStream_t stream) {
  Extent extent;
  if (!measure(batch, &extent)) return cudaErrorInvalidValue;
  return start_grid(batch, how.whole, extent, kEveryone, scratch, stream);
}

}  // namespace jaxcpp
