// The GPU's core on the processor: takes the place of batch.cpp and core.cpp, so that whatever calls
// `jaxcpp::solve` or `jaxcpp::respond` runs on blocks of JAXCPP_BLOCK_THREADS threads in warps of
// JAXCPP_BLOCK_LANES.
#include <stdlib.h>

#include <new>
#include <thread>
#include <vector>

#include "batch.h"
#include "block_path.h"
#include "block_proximal.h"

namespace jaxcpp {
namespace {

// One block works off `problems` by `one`.
template <int kPer, typename One>
void run(const Extent& extent, int64_t problems, One one) {
  const int warps = kThreads / kLanes;
  Contract sizes;
  Arena counted{nullptr, 0}, apart{nullptr, 0};
  lay_out(&sizes, extent, warps, kPer == 0, &counted, &apart);
  char* const near = static_cast<char*>(aligned_alloc(kAlign, counted.used + kAlign));
  char* const far = static_cast<char*>(aligned_alloc(kAlign, apart.used + kAlign));
  uint32_t queue = 0;
  Team team;
  const auto work = [&](int thread) {
    Contract contract;
    Arena first{near, 0}, second{far, 0};
    lay_out(&contract, extent, warps, kPer == 0, &first, &second);
    Block block(&team, thread);
    work_off(block, problems, &queue, [&](int64_t index) { one(block, contract, index); });
  };
  std::vector<std::thread> others;
  for (int thread = 1; thread < kThreads; ++thread) others.emplace_back(work, thread);
  work(0);
  for (std::thread& other : others) other.join();
  free(near);
  free(far);
}

template <int kPer>
void run(const Batch& batch, const Extent& extent) {
  run<kPer>(extent, batch.problems, [&batch](Block& block, Contract& contract, int64_t index) {
    follow_at<kPer>(block, batch, contract, index);
  });
}

template <int kPer>
void run(const Questions& batch, const Extent& extent) {
  run<kPer>(extent, batch.problems, [&batch](Block& block, Contract& contract, int64_t index) {
    respond_at<kPer>(block, batch, contract, index);
  });
}

template <typename AnyBatch>
bool work(const AnyBatch& batch) {
  Extent extent;
  if (batch.problems <= 0) return true;
  if (!measure(batch, &extent)) return false;
  switch (nodes_per_lane(batch.nodes)) {
    case 1:
      run<1>(batch, extent);
      break;
    case 2:
      run<2>(batch, extent);
      break;
    case 4:
      run<4>(batch, extent);
      break;
    case 8:
      run<8>(batch, extent);
      break;
    default:
      run<0>(batch, extent);
  }
  return true;
}

}  // namespace

int instruction_set() { return 1; }

bool solve(const Batch& batch, int64_t) { return work(batch); }
bool respond(const Questions& batch, int64_t) { return work(batch); }

}  // namespace jaxcpp
