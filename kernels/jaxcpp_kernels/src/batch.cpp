#include "batch.h"

#include <stdlib.h>

#include <atomic>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sched.h>
#endif

#include "problem.h"

namespace jaxcpp {
namespace {

// Single-precision couplings of parts that hardly trade become denormal, which is slow, and never
// matters. Threads inherit the setting they are started under, so every thread makes its own.
class FlushDenormals {
 public:
#ifdef __x86_64__
  FlushDenormals() : before_(__builtin_ia32_stmxcsr()) { __builtin_ia32_ldmxcsr(before_ | 0x8040); }
  ~FlushDenormals() { __builtin_ia32_ldmxcsr(before_); }

 private:
  unsigned before_;
#else
  FlushDenormals() {}
#endif
};

struct Free {
  void operator()(void* memory) const { free(memory); }
};
using Scratch = std::unique_ptr<void, Free>;

Scratch scratch_for(size_t bytes) { return Scratch(aligned_alloc(64, (bytes + 63) / 64 * 64)); }

// The core for the instruction set in use.
struct Core {
  FollowPath* follow_path;
  RespondTo* respond_to;
  PlayRounds* play_rounds;
};

Core core() {
  switch (instruction_set()) {
#ifdef JAXCPP_HAS_V4
    case 4:
      return {follow_path_v4, respond_to_v4, play_rounds_v4};
#endif
#ifdef JAXCPP_HAS_V3
    case 3:
      return {follow_path_v3, respond_to_v3, play_rounds_v3};
#endif
    default:
      return {follow_path_v1, respond_to_v1, play_rounds_v1};
  }
}

// Lanes (public times private nodes) of questions that keep a thread busy for longer than it takes to start one.
constexpr int64_t kWorthAThread = 100000;

int64_t threads_for(int64_t asked, int64_t problems) {
  int64_t count = asked;
  if (count <= 0) {
    count = std::thread::hardware_concurrency();
#ifdef __linux__
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) count = CPU_COUNT(&allowed);
#endif
  }
  if (const char* limit = getenv("JAXCPP_KERNEL_THREADS")) {
    const int64_t most = strtoll(limit, nullptr, 10);
    if (most > 0 && most < count) count = most;
  }
  if (count > problems) count = problems;
  return count < 1 ? 1 : count;
}

void solve_one(const Batch& batch, int64_t index, void* scratch) {
  const Problem problem = problem_at(batch, index);
  Result result;
  result.price = batch.price + index * batch.nodes;
  if (batch.proposal) result.proposal = batch.proposal + index * batch.nodes;
  if (batch.taken) result.taken = batch.taken + index * batch.nodes * batch.retailer.columns;
  if (batch.shipped) result.shipped = batch.shipped + index * batch.nodes * batch.supplier.columns;
  core().follow_path(problem, scratch, &result);
  batch.out_epsilon[index] = result.epsilon;
  batch.gap[index] = result.gap;
  batch.rounds[index] = result.rounds;
  batch.done[index] = result.done;
}

void answer_one(const Questions& batch, int64_t index, void* scratch) {
  Reply reply;
  reply.plan = batch.plan + index * batch.nodes;
  reply.price = batch.behind + index * batch.nodes;
  core().respond_to(question_at(batch, index), scratch, &reply);
  batch.rounds[index] = reply.rounds;
}

void play_one(const Talks& batch, int64_t index, void* scratch) { core().play_rounds(talk_at(batch, index), scratch); }

// `one` of every problem of a batch, on `threads` threads with `bytes` of scratch memory each.
template <typename AnyBatch, typename One>
bool share_out(const AnyBatch& batch, size_t bytes, int64_t threads, One one) {
  if (bytes == 0) return false;
  const Scratch mine = scratch_for(bytes);
  if (!mine) return false;
  std::atomic<int64_t> next{0};
  const auto work = [&batch, &next, one](void* scratch) {
    const FlushDenormals flush;
    for (;;) {
      const int64_t index = next.fetch_add(1, std::memory_order_relaxed);
      if (index >= batch.problems) return;
      one(batch, index, scratch);
    }
  };
  const int64_t count = threads_for(threads, batch.problems);
  std::vector<Scratch> memory;
  std::vector<std::thread> helpers;
  try {
    for (int64_t t = 1; t < count; ++t) {
      memory.push_back(scratch_for(bytes));
      if (!memory.back()) break;
      helpers.emplace_back(work, memory.back().get());
    }
  } catch (const std::exception&) {
    // As many as the system grants; with none, this thread does it all.
  }
  work(mine.get());
  for (std::thread& helper : helpers) helper.join();
  return true;
}

}  // namespace

int instruction_set() {
#ifdef __x86_64__
#ifdef JAXCPP_HAS_V4
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return 4;
#endif
#ifdef JAXCPP_HAS_V3
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
      __builtin_cpu_supports("bmi2"))
    return 3;
#endif
#endif
  return 1;
}

bool solve(const Batch& batch, int64_t threads) {
  if (batch.problems <= 0) return true;
  const size_t bytes = scratch_bytes(batch.nodes, batch.retailer.columns, batch.supplier.columns);
  return share_out(batch, bytes, threads, solve_one);
}

bool respond(const Questions& batch, int64_t threads) {
  if (batch.problems <= 0) return true;
  const size_t bytes = scratch_bytes(batch.nodes, batch.side.columns);
  const int64_t lanes = batch.problems * batch.nodes * batch.side.columns;
  return share_out(batch, bytes, threads <= 0 && lanes < kWorthAThread ? 1 : threads, answer_one);
}

bool play(const Talks& batch, int64_t threads) {
  if (batch.problems <= 0) return true;
  const size_t bytes = rounds_scratch_bytes(batch.nodes, batch.retailer.columns, batch.supplier.columns);
  return share_out(batch, bytes, threads, play_one);
}

}  // namespace jaxcpp
