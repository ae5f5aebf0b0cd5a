// The annealed path of one contract: the state machine of jaxcpp/transport/path.py.
#pragma once

#include "augment.h"
#include "through.h"

namespace {

constexpr double kLeastEpsilon = 1e-9;  // smoothing that comes with an exact price: for derivatives at it

struct Path {
  Side retailer, supplier;  // joined, the retailer's is the joined side, and there is no supplier
  Through through;
  Augment exact;
  bool joined;
  Laplacian slope;
  int n, stride;     // nodes in use, padded to vectors
  double *price, *trial, *move, *gradient, *step, *tangent;
  double* fixed;     // the plan to live with, where there is no supplier
  double stranded;   // units of it at nodes that nothing reaches
  int32_t* nodes;    // those in use
  unsigned char* used;
};

inline void lay_out(Path* self, Arena* arena, int64_t nodes, int64_t retailer_columns, int64_t supplier_columns) {
  // Joined, as many nodes as sources and nodes with stock: of a path, no more than there are.
  const int64_t most_nodes = nodes + supplier_columns;
  lay_out(&self->retailer, arena, retailer_columns, most_nodes);
  lay_out(&self->supplier, arena, supplier_columns, nodes);
  lay_out(&self->through, arena, nodes, retailer_columns, supplier_columns);
  lay_out(&self->exact, arena, retailer_columns, most_nodes);
  lay_out(&self->slope, arena, int(nodes));
  const size_t stride = padded_floats(int(most_nodes) + 1);
  double** const by_node[] = {&self->price,    &self->trial, &self->move, &self->gradient,
                              &self->step, &self->tangent, &self->fixed};
  for (double** each : by_node) *each = arena->take<double>(stride);
  self->nodes = arena->take<int32_t>(nodes);
  self->used = arena->take<unsigned char>(nodes);
}

// The smoothed dual at `trial`; the imbalance (its gradient) goes to `gradient`.
inline Totals look(Path* self, double epsilon, double* imbalance) {
  Totals seen = {0.0, 0.0, 0.0, 0.0};
  answer(&self->retailer, self->trial, epsilon, &seen);
  const double* other = self->fixed;
  if (self->supplier.present) {
    answer(&self->supplier, self->trial, epsilon, &seen);
    other = self->supplier.plan;
  } else {
    Doubles paid = {};
    for (int i = 0; i < self->stride; i += kDoubles) paid += load(self->trial + i) * load(self->fixed + i);
    seen.value -= sum_of(paid);
    seen.bound -= sum_of(paid);
    if (self->joined) seen.spend += margin_shipped(self->through, self->retailer);
    seen.spend = seen.spend < 0.0 ? -seen.spend : seen.spend;
  }
  Doubles sum = {};
  for (int i = 0; i < self->stride; i += kDoubles) {
    const Doubles over = load(self->retailer.plan + i) - load(other + i);
    store(self->gradient + i, over);
    sum += larger(over, -over);
  }
  *imbalance = sum_of(sum);
  return seen;
}

// Newton's step and the path's tangent at the point last looked at.
// No node moves further than `longest` on its own; returns how far one would have.
inline double direct(Path* self, double epsilon, double longest) {
  clear(&self->slope);
  add_slope(self->retailer, &self->slope);
  if (self->supplier.present) add_slope(self->supplier, &self->slope);
  factorize(&self->slope);
  // The Laplacian is the slope times epsilon, `drift` is times epsilon too.
  for (int i = 0; i < self->n; ++i) {
    self->step[i] = self->gradient[i] * epsilon;
    self->tangent[i] = self->retailer.drift[i] - (self->supplier.present ? self->supplier.drift[i] : 0.0);
  }
  return solve(&self->slope, self->step, self->tangent, longest);
}

// A rejected move is cut.
inline void cut(Path* self, Progress* at) {
  for (int i = 0; i < self->n; ++i) {
    self->move[i] *= kCut;
    self->trial[i] = self->price[i] + self->move[i];
  }
  cut(at);
}

// One more Newton step, not looked at: so near the end it squares the imbalance.
inline void finish(Path* self, double epsilon) {
  const double longest = direct(self, epsilon, kClip * epsilon);
  double sum = 0.0;
  for (int i = 0; i < self->n; ++i) sum += self->step[i];
  if (!finite(sum) || longest > kClip * epsilon) return;
  for (int i = 0; i < self->n; ++i) self->price[i] += self->step[i];
}

// One round: look at the trial, accept or reject it, choose the next. False where there is no way on.
inline bool advance(Path* self, const Problem& problem, Progress* at, Result* result) {
  const int n = self->n;
  double imbalance;
  const Totals seen = look(self, at->trial_epsilon, &imbalance);
  ++result->rounds;
  if (!finite(seen.value) && !at->moved) return false;
  if (at->moved && !rises(*at, seen.value)) {
    cut(self, at);
    result->done = at->rejected >= kStalled;
    return !result->done;
  }
  memcpy(self->price, self->trial, sizeof(double) * self->stride);
  accept(seen.value, at);
  const double proven = seen.value + seen.bias - seen.bound;
  const double target = problem.strict * problem.tolerance * most(seen.spend, kLeastSpend);
  const double gap = proven + kRepairPrice * imbalance;
  result->gap = gap + kRepairPrice * self->stranded;
  result->done = gap <= target;
  if (result->done) {
    finish(self, at->epsilon);
    return false;
  }
  const double limit = at->radius * at->epsilon;
  const double longest = direct(self, at->epsilon, limit);
  double sum = 0.0;
  at->rise = 0.0;
  for (int i = 0; i < n; ++i) {
    sum += self->step[i] + self->tangent[i];
    at->rise += self->gradient[i] * self->step[i];
  }
  if (!finite(sum)) return false;
  const bool lower = lower_epsilon(proven, target, imbalance, longest, at);
  for (int i = 0; i < n; ++i) {
    self->move[i] = self->step[i] + (at->trial_epsilon - at->epsilon) * self->tangent[i];
    self->trial[i] = self->price[i] + self->move[i];
  }
  if (lower) {
    make_lists(&self->retailer, at->trial_epsilon, self->move);
    if (self->supplier.present) make_lists(&self->supplier, at->trial_epsilon, self->move);
  }
  return true;
}

inline void follow(Path* self, const Problem& problem, Result* result) {
  Progress at = begin_at(problem.epsilon);
  while (result->rounds < problem.max_rounds && advance(self, problem, &at, result)) {
  }
  result->epsilon = at.epsilon;
}

// One side's flows and price to rounding error, where flows are wanted, instead of a path. What it takes is told
// in rounds: as many lanes and ways between nodes as there are, looked at, are one. Where that fails, or a first
// answer was not good enough, it is for the path.
inline bool settled_exactly(Path* self, const Problem& problem, Result* result) {
  if (!result->taken || problem.max_rounds <= 0 || problem.strict < 1.0) return false;
  Side* side = &self->retailer;
  Augment* found = &self->exact;
  if (!begin(found, side, self->trial, self->fixed)) return false;
  const int64_t most_rounds = problem.max_rounds < kMostRounds ? problem.max_rounds : kMostRounds;
  const bool exact = settle_exactly(found, most_rounds);
  const int64_t rounds = (found->looked + found->round - 1) / found->round;
  result->rounds = int32_t(rounds < most_rounds ? rounds : most_rounds);
  if (!exact) return false;
  double off = self->stranded;
  for (int i = 0; i < side->n; ++i) {
    self->price[i] = found->price[i];
    off += size_of(found->excess[i]);
  }
  result->gap = kRepairPrice * off;
  result->epsilon = least(problem.epsilon, most(problem.tolerance, kLeastEpsilon));
  return result->done = true;
}

// Flows at the price reached, where they are wanted.
inline void settle(Path* self, const Problem& problem, double epsilon, Result* result) {
  if (!result->taken) return;
  double *plan = self->fixed, *price = self->price;
  spread_out(&self->retailer, price, epsilon);
  if (self->supplier.present) {
    propose(&self->retailer, epsilon, plan);
    if (result->proposal) memset(result->proposal, 0, sizeof(double) * size_t(problem.nodes));
    for (int i = 0; result->proposal && i < self->n; ++i) result->proposal[self->nodes[i]] = plan[i];
    spread_out(&self->supplier, price, epsilon);
    settle_on(&self->supplier, plan, false);
    if (result->shipped) write_flows(&self->supplier, problem.supplier, self->nodes, problem.nodes, result->shipped);
    add_up(&self->supplier, true, self->supplier.plan);
    for (int i = 0; i < self->n; ++i) plan[i] = least(plan[i], self->supplier.plan[i]);
  }
  settle_on(&self->retailer, plan, false);
  write_flows(&self->retailer, problem.retailer, self->nodes, problem.nodes, result->taken);
}

inline void no_flows(const Problem& problem, Result* result) {
  const size_t nodes = size_t(problem.nodes);
  if (result->proposal) memset(result->proposal, 0, sizeof(double) * nodes);
  if (result->taken) memset(result->taken, 0, sizeof(double) * nodes * size_t(problem.retailer.columns));
  if (result->shipped) memset(result->shipped, 0, sizeof(double) * nodes * size_t(problem.supplier.columns));
}

inline bool sound(const Problem& problem) {
  if (!(problem.epsilon > 0.0) || !finite(problem.epsilon)) return false;
  if (!finite(problem.strict) || !finite(problem.tolerance)) return false;
  for (int64_t i = 0; i < problem.nodes; ++i)
    if (!finite(problem.start[i]) || (problem.plan && !finite(problem.plan[i]))) return false;
  return sound(problem.retailer, problem.nodes) && (problem.plan || sound(problem.supplier, problem.nodes));
}

// A contract joined over its public nodes, settled exactly, or else by a path where that is `smaller` for it. False
// where neither is done.
inline bool follow_joined(const Problem& problem, Path* self, bool smaller, Result* result) {
  Side* side = &self->retailer;
  for (int i = 0; i < padded_doubles(joined_nodes(self->through)); ++i) self->fixed[i] = self->move[i] = 0.0;
  join(&self->through, problem, side, self->trial);
  self->n = side->n;
  self->stride = side->stride;
  self->stranded = 0.0;
  self->supplier.present = false;
  memcpy(self->price, self->trial, sizeof(double) * self->stride);
  const bool exact = settled_exactly(self, problem, result);
  if (!exact && !smaller) return false;
  if (!exact) {
    resize(&self->slope, self->n);
    follow(self, problem, result);
  }
  price_nodes(self->through, problem, side, self->price, result->price);
  if (!exact) {
    spread_out(side, self->price, result->epsilon);
    settle_on(side, self->fixed, true);
  }
  no_flows(problem, result);
  write_through(self->through, problem, side, result);
  return true;
}

inline void follow_one(const Problem& problem, Path* self, Result* result) {
  const int64_t nodes = problem.nodes;
  memcpy(result->price, problem.start, sizeof(double) * nodes);
  result->epsilon = problem.epsilon;
  result->gap = __builtin_inf();
  result->rounds = 0;
  result->done = false;
  if (problem.max_rounds <= 0 && !result->taken) return;
  if (!sound(problem)) return no_flows(problem, result);
  memset(self->used, 0, nodes);
  mark_used(problem.retailer, nodes, self->used);
  if (!problem.plan) mark_used(problem.supplier, nodes, self->used);
  int n = 0;
  self->stranded = 0.0;
  for (int64_t i = 0; i < nodes; ++i) {
    if (self->used[i])
      self->nodes[n++] = int32_t(i);
    else if (problem.plan)
      self->stranded += __builtin_fabs(problem.plan[i]);
  }
  self->joined = result->taken && !problem.plan && can_be_joined(&self->through, problem);
  if (self->joined && follow_joined(problem, self, joined_nodes(self->through) <= n, result)) return;
  self->joined = false;
  self->n = n;
  self->stride = padded_doubles(n);
  fill(&self->retailer, problem.retailer, self->nodes, n, 1.0);
  self->supplier.present = false;
  if (!problem.plan) fill(&self->supplier, problem.supplier, self->nodes, n, -1.0);
  resize(&self->slope, n);
  for (int i = 0; i < self->stride; ++i) {
    const bool real = i < n;
    self->trial[i] = real ? problem.start[self->nodes[i]] : 0.0;
    self->fixed[i] = real && problem.plan ? problem.plan[self->nodes[i]] : 0.0;
    self->price[i] = self->trial[i];
    self->move[i] = 0.0;
  }
  const bool exact = problem.plan && settled_exactly(self, problem, result);
  if (!exact) follow(self, problem, result);
  for (int i = 0; i < n; ++i) result->price[self->nodes[i]] = self->price[i];
  if (exact)
    write_flows(&self->retailer, problem.retailer, self->nodes, nodes, result->taken);
  else
    settle(self, problem, result->epsilon, result);
}

}  // namespace
