// Answers near a proposal, of a batch of sides, on a CUDA device.
#include "cuda_run.h"

#include "block_proximal.h"

namespace jaxcpp {
namespace {

template <int kPer, int kSplit, Home kHome>
__global__ void __launch_bounds__(kMostThreads, kSideBySide<kPer>) respond(char* scratch, Questions batch,
                                                                           Shape shape) {
  extern __shared__ __align__(16) char shared[];
  run<kPer, kHome>(batch.problems, shape, scratch, shared, [&](Block& block, Contract& contract, int64_t index) {
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
  *out = Launch();
  Extent extent;
  if (!measure(batch, &extent)) return cudaErrorInvalidValue;
  const cudaError_t error = plan_grid<Respond>(extent, batch.problems, &out->path);
  out->apart = apart_of(out->path);
  out->scratch_bytes = 2 * kQueueBytes + out->apart;
  return error;
}

cudaError_t launch(const Questions& batch, const Launch& how, void* scratch, cudaStream_t stream) {
  return start_grid(batch, how.path, {nullptr, false}, aligned(scratch), stream);
}

}  // namespace jaxcpp
