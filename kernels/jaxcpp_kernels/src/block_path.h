// The annealed path of one contract on a block of threads: path.h's twin, by the same rules.
//
// Every thread keeps the path's few scalars for itself, all the same, so that decisions need no
// synchronization.
#pragma once

#include "block_answer.h"
#include "block_extent.h"

namespace {

// One more Newton step, not looked at: so near the end it squares the imbalance.
JAXCPP_BLOCK void finish(Block& block, Contract& c, double epsilon) {
  const double longest = direct(block, c, epsilon, kClip * epsilon);
  double sum[1] = {0.0};
  for (int i = block.thread(); i < c.n; i += block.threads()) sum[0] += c.step[i];
  block.sum(sum);
  if (!finite(sum[0]) || longest > kClip * epsilon) return;
  for (int i = block.thread(); i < c.n; i += block.threads()) c.price[i] += c.step[i];
}

// One round: look at the trial, accept or reject it, choose the next. False where there is no way on.
template <int kPer, int kSplit>
JAXCPP_BLOCK bool advance(Block& block, Contract& c, const Problem& problem, const Across& across, Progress* at,
                          jaxcpp::Result* result) {
  double imbalance;
  const Totals seen = look<kPer, kSplit>(block, c, across, at->trial_epsilon, &imbalance);
  ++result->rounds;
  if (!finite(seen.value) && !at->moved) return false;
  if (at->moved && !rises(*at, seen.value)) {
    cut_move(block, c);
    cut(at);
    result->done = at->rejected >= kStalled;
    return !result->done;
  }
  for (int i = block.thread(); i < c.n; i += block.threads()) c.price[i] = c.trial[i];
  accept(seen.value, at);
  const double proven = seen.value + seen.bias - seen.bound;
  const double target = problem.strict * problem.tolerance * most(seen.spend, kLeastSpend);
  const double gap = proven + kRepairPrice * imbalance;
  result->gap = gap + kRepairPrice * c.stranded;
  result->done = gap <= target;
  if (result->done) {
    finish(block, c, at->epsilon);
    return false;
  }
  const double longest = direct(block, c, at->epsilon, at->radius * at->epsilon);
  double sums[2] = {0.0, 0.0};
  for (int i = block.thread(); i < c.n; i += block.threads()) {
    sums[0] += c.step[i] + c.tangent[i];
    sums[1] += c.gradient[i] * c.step[i];
  }
  block.sum(sums);
  if (!finite(sums[0])) return false;
  at->rise = sums[1];
  lower_epsilon(proven, target, imbalance, longest, at);
  for (int i = block.thread(); i < c.n; i += block.threads()) {
    c.move[i] = c.step[i] + (at->trial_epsilon - at->epsilon) * c.tangent[i];
    c.trial[i] = c.price[i] + c.move[i];
  }
  return true;
}

template <int kPer, int kSplit>
JAXCPP_BLOCK void follow_one(Block& block, const Problem& problem, Contract& c, jaxcpp::Result* result) {
  const int nodes = int(problem.nodes);
  for (int i = block.thread(); i < nodes; i += block.threads()) result->price[i] = problem.start[i];
  result->epsilon = problem.epsilon;
  result->gap = __builtin_huge_val();
  result->rounds = 0;
  result->done = false;
  if (problem.max_rounds <= 0 || !sound(block, problem)) return;
  load(block, problem, c);
  const Across across = {problem.plan != nullptr};
  Progress at = begin_at(problem.epsilon);
  while (result->rounds < problem.max_rounds && advance<kPer, kSplit>(block, c, problem, across, &at, result)) {
  }
  result->epsilon = at.epsilon;
  block.sync();
  for (int i = block.thread(); i < c.n; i += block.threads()) result->price[c.node[i]] = c.price[i];
}

template <int kPer, int kSplit>
JAXCPP_BLOCK void follow_at(Block& block, const Batch& batch, Contract& c, int64_t index) {
  jaxcpp::Result result;
  result.price = batch.price + index * batch.nodes;
  follow_one<kPer, kSplit>(block, jaxcpp::problem_at(batch, index), c, &result);
  if (block.thread() != 0) return;
  batch.out_epsilon[index] = result.epsilon;
  batch.gap[index] = result.gap;
  batch.rounds[index] = result.rounds;
  batch.done[index] = result.done;
}

}  // namespace
