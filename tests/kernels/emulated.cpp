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
#include "block_through.h"

namespace jaxcpp {
namespace {

// One block works off `problems` by `one`.
template <int kPer, typename One>
void run(const Extent& extent, const Which& which, int64_t problems, One one) {
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
    work_off(block, problems, &queue, [&](int64_t index) {
      if (!which.skips(index)) one(block, contract, index);
    });
  };
  std::vector<std::thread> others;
  for (int thread = 1; thread < kThreads; ++thread) others.emplace_back(work, thread);
  work(0);
  for (std::thread& other : others) other.join();
  free(near);
  free(far);
}

template <int kPer, int kSplit>
void run(const Batch& batch, const Extent& extent, const Which& which) {
  run<kPer>(extent, which, batch.problems, [&](Block& block, Contract& contract, int64_t index) {
    follow_at<kPer, kSplit>(block, batch, contract, index);
  });
}

template <int kPer, int kSplit>
void run(const Questions& batch, const Extent& extent, const Which& which) {
  run<kPer>(extent, which, batch.problems, [&](Block& block, Contract& contract, int64_t index) {
    respond_at<kPer, kSplit>(block, batch, contract, index);
  });
}

template <typename AnyBatch>
void work(const AnyBatch& batch, const Which& which) {
  Extent extent;
  measure(batch, &extent);
  const Reach reach = reach_of(extent.nodes);
#if JAXCPP_BLOCK_LANES >= 16
  if (reach.split == 4) return run<1, 4>(batch, extent, which);
#endif
#if JAXCPP_BLOCK_LANES >= 8
  if (reach.split == 2) return run<1, 2>(batch, extent, which);
#endif
  switch (reach.per) {
    case 1:
      return run<1, 1>(batch, extent, which);
    case 2:
      return run<2, 1>(batch, extent, which);
    case 4:
      return run<4, 1>(batch, extent, which);
    case 8:
      return run<8, 1>(batch, extent, which);
    default:
      return run<0, 1>(batch, extent, which);
  }
}

void settle_flows(const Batch& batch, const Joined& joined, const Which& which) {
  const bool are_joined = which.mark && which.wanted;
  Extent extent;
  measure(are_joined ? joined.batch : batch, &extent);
  extent.flows = true;
  run<1>(extent, which, batch.problems, [&](Block& block, Contract& contract, int64_t index) {
    settle_at(block, batch, joined, are_joined, contract, index);
  });
}

// The passes of cuda.cu, one after the other.
void join_and_follow(const Batch& batch) {
  Joined joined;
  char* const memory = static_cast<char*>(aligned_alloc(kAlign, lay_out(batch, nullptr, &joined) + kAlign));
  lay_out(batch, memory, &joined);
  const Which those = {joined.mark, true}, rest = {joined.mark, false};
  run<1>(Extent(), {nullptr, false}, batch.problems,
         [&](Block& block, Contract&, int64_t index) { join_at(block, batch, joined, index); });
  work(joined.batch, those);
  settle_flows(batch, joined, those);
  work(batch, rest);
  settle_flows(batch, joined, rest);
  free(memory);
}

}  // namespace

int instruction_set() { return 1; }

bool solve(const Batch& batch, int64_t) {
  Extent extent;
  if (batch.problems <= 0) return true;
  if (!measure(batch, &extent)) return false;
  if (joinable(batch)) {
    join_and_follow(batch);
    return true;
  }
  work(batch, {nullptr, false});
  if (batch.taken) settle_flows(batch, {}, {nullptr, false});
  return true;
}

bool respond(const Questions& batch, int64_t) {
  Extent extent;
  if (batch.problems <= 0) return true;
  if (!measure(batch, &extent)) return false;
  work(batch, {nullptr, false});
  return true;
}

}  // namespace jaxcpp
