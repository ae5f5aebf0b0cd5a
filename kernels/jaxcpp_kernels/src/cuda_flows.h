// The passes before and after paths on a CUDA device: joining contracts, and settling flows.
#pragma once

#include "block_extent.h"
#include "block_through.h"
#include "cuda.h"

namespace jaxcpp {

cudaError_t plan_join(const Batch& batch, Grid* out);
cudaError_t start_join(const Batch& batch, const Joined& joined, const Grid& grid, char* memory, cudaStream_t stream);

// Of a batch, or of the joined contracts of one.
cudaError_t plan_flows(const Batch& batch, Grid* out);
cudaError_t start_flows(const Batch& batch, const Joined& joined, const Grid& grid, const Which& which, char* memory,
                        cudaStream_t stream);

}  // namespace jaxcpp
