// The annealed path of one contract on a block of threads: path.h's twin, by the same rules.
//
// Every thread keeps the path's few scalars for itself, all the same, so that decisions need no
// synchronization.
#pragma once

#include "block_extent.h"
#include "block_through.h"

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

// A contract on its way into memory: there, and joined or not; left to a later pass; or for nobody to solve.
enum Standing { kApartSides, kJoined, kLater, kUnsound };

struct Opened {
  Contract contract;
  Standing standing;
};

JAXCPP_DEVICE jaxcpp::Result result_at(const Batch& batch, int64_t index) {
  jaxcpp::Result result;
  result.price = batch.price + index * batch.nodes;
  if (batch.proposal) result.proposal = batch.proposal + index * batch.nodes;
  if (batch.taken) result.taken = batch.taken + index * batch.nodes * batch.retailer.columns;
  if (batch.shipped) result.shipped = batch.shipped + index * batch.nodes * batch.supplier.columns;
  return result;
}

// Load a contract into memory laid out for `extent`; where that is `smaller` than all, only if it is joined. Results
// are as if there were no solution.
JAXCPP_ONCE Opened open_path(Block block, const Batch& batch, int64_t index, const Extent& extent, bool smaller,
                             Contract c) {
  const Problem problem = jaxcpp::problem_at(batch, index);
  jaxcpp::Result result = result_at(batch, index);
  Standing standing = (problem.max_rounds > 0 || result.taken) && sound(block, problem) ? kApartSides : kUnsound;
  if (standing == kApartSides) {
    choose_columns(block, problem, c);
    if (extent.everywhere > 0 && worth_joining(block, problem, c, extent.nodes))
      standing = kJoined;
    else if (smaller)
      return {c, kLater};
  }
  for (int i = block.thread(); i < int(problem.nodes); i += block.threads()) result.price[i] = problem.start[i];
  no_flows(block, problem, &result);
  if (standing == kJoined)
    join(block, problem, c);
  else if (standing == kApartSides)
    load(block, problem, c);
  return {c, standing};
}

// What comes of a path that has ended: its price at every node, and flows where they are wanted.
JAXCPP_ONCE void close_path(Block block, const Batch& batch, int64_t index, bool joined, double epsilon, Contract c) {
  const Problem problem = jaxcpp::problem_at(batch, index);
  jaxcpp::Result result = result_at(batch, index);
  block.sync();
  if (!joined) {
    for (int i = block.thread(); i < c.n; i += block.threads()) result.price[c.node[i]] = c.price[i];
    if (result.taken) settle(block, problem, c, epsilon, &result);
    return;
  }
  set_tolls(block, c, c.price);
  block.sync();
  spread_out(block, c, c.retailer, epsilon);
  price_nodes(block, problem, c, result.price);
  block.sync();
  settle_on(block, c, c.retailer, true);
  write_through(block, problem, c, &result);
}

constexpr int32_t kNotYet = -1;  // rounds of a contract left to a later pass

template <int kPer, int kSplit>
JAXCPP_BLOCK void follow_at(Block& block, const Batch& batch, const Extent& extent, Pass pass, const Contract& memory,
                            int64_t index) {
  if (pass == kLeft && batch.rounds[index] != kNotYet) return;
  Opened opened = open_path(block, batch, index, extent, pass == kSmaller, memory);
  const Standing standing = opened.standing;
  const Problem problem = jaxcpp::problem_at(batch, index);
  jaxcpp::Result result;
  result.gap = __builtin_huge_val();
  Progress at = begin_at(problem.epsilon);
  if (standing == kJoined || standing == kApartSides) {
    Contract c = opened.contract;
    const Across across = {standing == kJoined || batch.plan};
    while (result.rounds < problem.max_rounds && advance<kPer, kSplit>(block, c, problem, across, &at, &result)) {
    }
    close_path(block, batch, index, standing == kJoined, at.epsilon, c);
  }
  if (block.thread() != 0) return;
  batch.rounds[index] = standing == kLater ? kNotYet : result.rounds;
  batch.out_epsilon[index] = at.epsilon;
  batch.gap[index] = result.gap;
  batch.done[index] = result.done;
}

}  // namespace
