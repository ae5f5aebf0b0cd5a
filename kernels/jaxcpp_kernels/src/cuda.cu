// Paths of a batch on a CUDA device.
#include "cuda_flows.h"
#include "cuda_run.h"

#include "block_path.h"

namespace jaxcpp {
namespace {

template <int kPer, int kSplit, Home kHome>
__global__ void __launch_bounds__(kMostThreads, kSideBySide<kPer>) follow(char* scratch, Batch batch, Shape shape) {
  extern __shared__ __align__(16) char shared[];
  run<kPer, kHome>(batch.problems, shape, scratch, shared, [&](Block& block, Contract& contract, int64_t index) {
    follow_at<kPer, kSplit>(block, batch, contract, index);
  });
}

struct Follow {
  template <int kPer, int kSplit, Home kHome>
  static const void* at() {
    return reinterpret_cast<const void*>(follow<kPer, kSplit, kHome>);
  }
};

cudaError_t plan_path(const Batch& batch, Grid* out) {
  Extent extent;
  return measure(batch, &extent) ? plan_grid<Follow>(extent, batch.problems, out) : cudaErrorInvalidValue;
}

}  // namespace

bool in_bounds(const Batch& batch) {
  Extent extent;
  return measure(batch, &extent);
}

cudaError_t plan_launch(const Batch& batch, Launch* out) {
  *out = Launch();
  size_t told = 0;
  cudaError_t error = plan_path(batch, &out->path);
  if (error == cudaSuccess && batch.taken) error = plan_flows(batch, &out->flows);
  if (error == cudaSuccess && joinable(batch)) {
    Joined joined;
    told = lay_out(batch, nullptr, &joined);
    error = plan_join(batch, &out->join);
    if (error == cudaSuccess) error = plan_path(joined.batch, &out->joined_path);
    if (error == cudaSuccess) error = plan_flows(joined.batch, &out->joined_flows);
  }
  for (const Grid* each : {&out->path, &out->flows, &out->joined_path, &out->joined_flows})
    if (apart_of(*each) > out->apart) out->apart = apart_of(*each);
  out->scratch_bytes = 2 * kQueueBytes + rounded(out->apart) + told;
  return error;
}

cudaError_t launch(const Batch& batch, const Launch& how, void* scratch, cudaStream_t stream) {
  char* const memory = aligned(scratch);
  const Which all = {nullptr, false};
  if (!how.join.blocks) {
    const cudaError_t error = start_grid(batch, how.path, all, memory, stream);
    return error == cudaSuccess && how.flows.blocks ? start_flows(batch, {}, how.flows, all, memory, stream) : error;
  }
  Joined joined;
  lay_out(batch, memory + kQueueBytes + rounded(how.apart), &joined);
  const Which those = {joined.mark, true}, rest = {joined.mark, false};
  cudaError_t error = start_join(batch, joined, how.join, memory, stream);
  if (error == cudaSuccess) error = start_grid(joined.batch, how.joined_path, those, memory, stream);
  if (error == cudaSuccess) error = start_flows(batch, joined, how.joined_flows, those, memory, stream);
  if (error == cudaSuccess) error = start_grid(batch, how.path, rest, memory, stream);
  return error == cudaSuccess ? start_flows(batch, joined, how.flows, rest, memory, stream) : error;
}

}  // namespace jaxcpp
