// Batches on a CUDA device.
#pragma once

#include <cuda_runtime_api.h>

#include "batch.h"

namespace jaxcpp {

// One pass over a batch; without blocks, there is none.
struct Grid {
  const void* kernel = nullptr;
  int blocks = 0, threads = 0;
  size_t shared_bytes = 0, apart = 0;  // of each block, on its processor and in the scratch memory
};

// How a batch is run: what `plan_launch` found and `launch` needs.
struct Launch {
  Grid path, flows;                      // or answers
  Grid join, joined_path, joined_flows;  // of contracts that are joined
  size_t apart = 0, scratch_bytes = 0;   // of all: blocks' memory, and with it what passes tell each other
};

// Are its problems small enough for what counts them?
bool in_bounds(const Batch& batch);
bool in_bounds(const Questions& batch);

// Choose a kernel and its shape for the current device.
cudaError_t plan_launch(const Batch& batch, Launch* out);
cudaError_t plan_launch(const Questions& batch, Launch* out);

// Start it; results are there when the stream has come past it. What comes out does not, for one
// problem, depend on the others.
cudaError_t launch(const Batch& batch, const Launch& how, void* scratch, cudaStream_t stream);
cudaError_t launch(const Questions& batch, const Launch& how, void* scratch, cudaStream_t stream);

}  // namespace jaxcpp
