// A block of threads that work on one contract together: CUDA's, or a team of the processor's threads
// that stands in for it, so that the same code runs, and is tested, where there is no GPU.
//
// Every thread calls every function below, and all get the same answer; those named `warp_` concern
// the threads of one warp, or of each of its `kSplit` equal groups. Sums are taken in a fixed order, so
// the same input gives the same bits.
#pragma once

#include <stdint.h>

#include "scalar.h"

#ifndef __CUDACC__
#include <math.h>
#include <pthread.h>

#include <memory>
#endif

namespace {

constexpr int kMostWarps = 32;
constexpr int kMostSums = 6;  // values summed together

#ifdef __CUDACC__

#define JAXCPP_BLOCK __device__ __forceinline__

constexpr int kLanes = 32;

class Block {
 public:
  __device__ explicit Block(double* pad) : pad_(pad) {}

  JAXCPP_BLOCK int thread() const { return threadIdx.x; }
  JAXCPP_BLOCK int threads() const { return blockDim.x; }
  JAXCPP_BLOCK int lane() const { return threadIdx.x % kLanes; }
  JAXCPP_BLOCK int warp() const { return threadIdx.x / kLanes; }
  JAXCPP_BLOCK int warps() const { return blockDim.x / kLanes; }
  JAXCPP_BLOCK void sync() { __syncthreads(); }
  JAXCPP_BLOCK void warp_sync() { __syncwarp(); }
  JAXCPP_BLOCK bool any(bool truth) { return __syncthreads_or(truth); }
  JAXCPP_BLOCK uint32_t warp_ballot(bool truth) { return __ballot_sync(~0u, truth); }

  template <int kSplit>
  JAXCPP_BLOCK double warp_from(double value, int lane) {
    return __shfl_sync(~0u, value, lane, kLanes / kSplit);
  }

  template <int kSplit>
  JAXCPP_BLOCK double warp_least(double value) {
#pragma unroll
    for (int step = kLanes / kSplit / 2; step; step /= 2) value = least(value, __shfl_xor_sync(~0u, value, step));
    return value;
  }

  template <int kSplit, int kCount>
  JAXCPP_BLOCK void warp_sum(double (&value)[kCount]) {
#pragma unroll
    for (int step = kLanes / kSplit / 2; step; step /= 2)
#pragma unroll
      for (int a = 0; a < kCount; ++a) value[a] += __shfl_xor_sync(~0u, value[a], step);
  }

  // The sum over the threads that stand at the same place of their groups.
  template <int kSplit>
  JAXCPP_BLOCK double groups_sum(double value) {
#pragma unroll
    for (int step = kLanes / kSplit; step < kLanes; step *= 2) value += __shfl_xor_sync(~0u, value, step);
    return value;
  }

  template <int kCount>
  JAXCPP_BLOCK void sum(double (&value)[kCount]) {
    static_assert(kCount <= kMostSums, "the pad is not large enough");
    warp_sum<1>(value);
    if (warps() == 1) return;
    double* pad = pad_ + turn_ * kMostWarps * kMostSums;
    turn_ ^= 1;  // a thread two sums ahead has seen all others past this one
    if (lane() == 0)
#pragma unroll
      for (int a = 0; a < kCount; ++a) pad[warp() * kCount + a] = value[a];
    sync();
#pragma unroll
    for (int a = 0; a < kCount; ++a) {
      double total = pad[a];
      for (int w = 1; w < warps(); ++w) total += pad[w * kCount + a];
      value[a] = total;
    }
  }

  // The next of `*queue`.
  JAXCPP_BLOCK uint32_t next(uint32_t* queue) {
    uint32_t* shared = reinterpret_cast<uint32_t*>(pad_);
    __syncthreads();
    if (threadIdx.x == 0) *shared = atomicAdd(queue, 1u);
    __syncthreads();
    const uint32_t mine = *shared;
    __syncthreads();
    return mine;
  }

 private:
  double* pad_;  // (2, kMostWarps, kMostSums)
  int turn_ = 0;
};

JAXCPP_BLOCK void raise_bit(uint32_t* word, int bit) { atomicOr(word, 1u << bit); }
JAXCPP_BLOCK int first_bit(uint32_t word) { return __ffs(word) - 1; }
JAXCPP_BLOCK int count_bits(uint32_t word) { return __popc(word); }

#else  // the stand-in

#define JAXCPP_BLOCK inline

// Threads of a stand-in block, and of its warps.
#ifndef JAXCPP_BLOCK_THREADS
#define JAXCPP_BLOCK_THREADS 1
#endif
#ifndef JAXCPP_BLOCK_LANES
#define JAXCPP_BLOCK_LANES 1
#endif

constexpr int kLanes = JAXCPP_BLOCK_LANES;
constexpr int kThreads = JAXCPP_BLOCK_THREADS;
static_assert(kThreads % kLanes == 0, "warps are whole");

class Barrier {
 public:
  explicit Barrier(int threads) : threads_(threads) {
    if (threads_ > 1) pthread_barrier_init(&barrier_, nullptr, unsigned(threads_));
  }
  ~Barrier() {
    if (threads_ > 1) pthread_barrier_destroy(&barrier_);
  }
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;
  void wait() {
    if (threads_ > 1) pthread_barrier_wait(&barrier_);
  }

 private:
  int threads_;
  pthread_barrier_t barrier_;
};

// What the threads of a stand-in block share.
struct Team {
  Barrier all{kThreads};
  std::unique_ptr<Barrier> warp[kThreads / kLanes];
  double pad[kThreads][kMostSums];
  uint32_t next = 0;

  Team() {
    for (auto& each : warp) each.reset(new Barrier(kLanes));
  }
};

class Block {
 public:
  Block(Team* team, int thread) : team_(team), thread_(thread) {}

  int thread() const { return thread_; }
  int threads() const { return kThreads; }
  int lane() const { return thread_ % kLanes; }
  int warp() const { return thread_ / kLanes; }
  int warps() const { return kThreads / kLanes; }
  void sync() { team_->all.wait(); }
  void warp_sync() { team_->warp[warp()]->wait(); }

  bool any(bool truth) {
    double value[1] = {truth ? 1.0 : 0.0};
    sum(value);
    return value[0] > 0.0;
  }

  uint32_t warp_ballot(bool truth) {
    uint32_t bits = 0;
    exchange<1>(truth ? 1.0 : 0.0, [&bits](int lane, double value) { bits |= value > 0.0 ? 1u << lane : 0u; });
    return bits;
  }

  template <int kSplit>
  double warp_from(double value, int lane) {
    double out = 0.0;
    exchange<kSplit>(value, [&out, lane](int from, double theirs) { out = from == lane ? theirs : out; });
    return out;
  }

  template <int kSplit>
  double warp_least(double value) {
    double low = value;
    exchange<kSplit>(value, [&low](int, double theirs) { low = least(theirs, low); });
    return low;
  }

  template <int kSplit, int kCount>
  void warp_sum(double (&value)[kCount]) {
    for (double& each : value) {
      double total = 0.0;
      exchange<kSplit>(each, [&total](int, double theirs) { total += theirs; });
      each = total;
    }
  }

  template <int kSplit>
  double groups_sum(double value) {
    if (kSplit == 1) return value;
    constexpr int kWidth = kLanes / kSplit;
    double total = 0.0;
    const int place = lane() % kWidth;
    exchange<1>(value, [&total, place](int from, double theirs) { total += from % kWidth == place ? theirs : 0.0; });
    return total;
  }

  template <int kCount>
  void sum(double (&value)[kCount]) {
    for (int a = 0; a < kCount; ++a) team_->pad[thread_][a] = value[a];
    sync();
    for (int a = 0; a < kCount; ++a) {
      value[a] = 0.0;
      for (int t = 0; t < kThreads; ++t) value[a] += team_->pad[t][a];
    }
    sync();
  }

  uint32_t next(uint32_t* queue) {
    sync();
    if (thread_ == 0) team_->next = (*queue)++;
    sync();
    const uint32_t mine = team_->next;
    sync();
    return mine;
  }

 private:
  // Each thread of a group sees what all of them have.
  template <int kSplit, typename See>
  void exchange(double value, See see) {
    constexpr int kWidth = kLanes / kSplit;
    team_->pad[thread_][0] = value;
    warp_sync();
    for (int lane = 0; lane < kWidth; ++lane) see(lane, team_->pad[thread_ - thread_ % kWidth + lane][0]);
    warp_sync();
  }

  Team* team_;
  int thread_;
};

inline void raise_bit(uint32_t* word, int bit) { __atomic_fetch_or(word, 1u << bit, __ATOMIC_RELAXED); }
inline int first_bit(uint32_t word) { return __builtin_ctz(word); }
inline int count_bits(uint32_t word) { return __builtin_popcount(word); }

#endif

// Indices below `count` that satisfy `keep`, in ascending order, to `out`; how many to `*kept`. For
// one warp.
template <typename Keep>
JAXCPP_BLOCK void collect(Block& block, int count, Keep keep, int32_t* out, int32_t* kept) {
  int used = 0;
  for (int base = 0; base < count; base += kLanes) {
    const int index = base + block.lane();
    const bool mine = index < count && keep(index);
    const uint32_t all = block.warp_ballot(mine);
    if (mine) out[used + count_bits(all & ((1u << block.lane()) - 1u))] = index;
    used += count_bits(all);
  }
  if (block.lane() == 0) *kept = used;
}

}  // namespace
