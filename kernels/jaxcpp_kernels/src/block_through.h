// Two sides joined over their public nodes, on a block of threads: through.h's twin, where the retailer holds no
// stock. Sources take the public nodes' place, their capacity that of stock, and a joined contract is a problem of
// one side like any other.
#pragma once

#include "block_settle.h"

namespace jaxcpp {

// Joined contracts, and what was known of them before.
struct Joined {
  Batch batch;          // by source
  unsigned char* mark;  // (problems) whether a contract is joined
  double* asks;         // (problems, nodes, sources) what a unit costs from a source to a node
  double *start, *cost, *plan, *price;  // of the batch, to be written
};

}  // namespace jaxcpp

namespace {

using jaxcpp::Joined;

// Whether joining may pay, as far as shapes say: not where there are more sources than nodes.
inline bool joinable(const Batch& batch) {
  const int64_t sources = batch.supplier.columns;
  return batch.taken && !batch.plan && sources > 0 && sources < batch.nodes;
}

// Bytes that joined contracts take, and where they are from `memory` on.
inline size_t lay_out(const Batch& from, char* memory, Joined* out) {
  const size_t count = size_t(from.problems), sources = size_t(from.supplier.columns);
  Arena arena{memory, 0};
  out->mark = arena.take<unsigned char>(count);
  out->asks = arena.take<double>(count * size_t(from.nodes) * sources);
  out->cost = arena.take<double>(count * sources * size_t(from.retailer.columns));
  out->start = arena.take<double>(count * sources);
  out->plan = arena.take<double>(count * sources);
  out->price = arena.take<double>(count * sources);
  Batch& to = out->batch;
  to = from;
  to.joined = true;
  to.nodes = from.supplier.columns;
  to.retailer.cost = out->cost;
  to.retailer.time = nullptr;
  to.retailer.open = nullptr;
  to.retailer.stock = from.supplier.mass;
  to.retailer.unit_margin = from.supplier.unit_margin;
  to.retailer.weeks = 1;
  to.supplier = Sides();
  to.start = out->start;
  to.plan = out->plan;
  to.price = out->price;
  to.proposal = to.taken = to.shipped = nullptr;
  return arena.used;
}

// What a unit costs at a node in the arrays of one side; kMissing where there is no lane.
JAXCPP_BLOCK double cost_at(const SideView& view, int i, int j) {
  if (view.open && !view.open[i]) return kMissing;
  const int weeks = int(view.weeks), place = i / weeks;
  const double cost = view.cost[place * view.columns + j];
  return cleaned(view.time ? cost + view.time[(i - place * weeks) * view.columns + j] : cost);
}

// The cheapest way from source `k` to private node `j`, and the node it leads through.
JAXCPP_BLOCK double cheapest(const Problem& problem, const double* asks, int k, int j, int* way) {
  const SideView& ours = problem.retailer;
  const int sources = int(problem.supplier.columns), weeks = int(ours.weeks), places = int(problem.nodes) / weeks;
  double low = kMissing;
  for (int p = 0, i = 0; p < places; ++p) {
    const double space = ours.cost[p * ours.columns + j];
    for (int w = 0; w < weeks; ++w, ++i) {
      const double cost = ours.time ? space + ours.time[w * ours.columns + j] : space;
      if (!(cost < kMissing) || (ours.open && !ours.open[i])) continue;
      const double all = asks[i * sources + k] + cost;
      if (!(all < low)) continue;
      low = all;
      *way = i;
    }
  }
  return low < 0.5 * kMissing ? low : kMissing;
}

JAXCPP_BLOCK bool worth_joining(Block& block, const Problem& problem) {
  const SideView &ours = problem.retailer, &theirs = problem.supplier;
  bool stocked = false, some = false;
  for (int i = block.thread(); i < int(problem.nodes); i += block.threads()) {
    stocked = stocked || (ours.stock && ours.stock[i] > 0.0);
    stocked = stocked || (theirs.stock && theirs.stock[i] > 0.0);
  }
  for (int k = block.thread(); k < int(theirs.columns); k += block.threads()) some = some || theirs.mass[k] > 0.0;
  return !block.any(stocked) && block.any(some);
}

// From the arrays of both sides to those of one, of contract `index`, if it is to be joined.
JAXCPP_BLOCK void join_at(Block& block, const Batch& batch, const Joined& joined, int64_t index) {
  const Problem problem = jaxcpp::problem_at(batch, index);
  const SideView &ours = problem.retailer, &theirs = problem.supplier;
  const int nodes = int(problem.nodes), sources = int(theirs.columns), columns = int(ours.columns);
  const bool worth = sound(block, problem) && worth_joining(block, problem);
  if (block.thread() == 0) joined.mark[index] = worth;
  if (!worth) return;
  double* const asks = joined.asks + index * nodes * sources;
  double* const start = joined.start + index * sources;
  for (int e = block.thread(); e < nodes * sources; e += block.threads()) {
    const int i = e / sources, k = e - i * sources;
    const double cost = theirs.mass[k] > 0.0 ? cost_at(theirs, i, k) : kMissing;
    asks[e] = cost < kMissing ? cost - theirs.outside[k] : kMissing;
  }
  block.sync();
  for (int k = block.thread(); k < sources; k += block.threads()) {
    double worth_most = 0.0;
    for (int i = 0; i < nodes; ++i)
      if (asks[i * sources + k] < kMissing) worth_most = most(worth_most, problem.start[i] - asks[i * sources + k]);
    start[k] = finite(worth_most) ? worth_most : 0.0;
    joined.plan[index * sources + k] = 0.0;
  }
  double* const cost = joined.cost + index * sources * columns;
  for (int e = block.thread(); e < sources * columns; e += block.threads()) {
    const int k = e / columns, j = e - k * columns;
    int way = 0;
    cost[e] = ours.mass[j] > 0.0 ? cheapest(problem, asks, k, j, &way) : kMissing;
  }
}

// The price at every public node, from the sources': what its cheapest source asks. Where none comes, what no
// private node would pay; what each pays at best is in `wanting`.
JAXCPP_BLOCK void price_nodes(const Block& block, const Problem& problem, const Contract& c, const double* asks,
                              double* to) {
  const int sources = int(problem.supplier.columns);
  for (int i = block.thread(); i < int(problem.nodes); i += block.threads()) {
    double low = kMissing, high = problem.start[i];
    for (int k = 0; k < c.n; ++k) low = least(low, asks[i * sources + c.node[k]] + c.price[k]);
    if (low < 0.5 * kMissing) {
      to[i] = finite(low) ? low : problem.start[i];  // of an infinitely cheap lane
      continue;
    }
    for (int a = 0; a < c.columns; ++a) {
      const double cost = cost_at(problem.retailer, i, c.chosen[a]);
      if (cost < kMissing) high = most(high, c.wanting[a] - cost);
    }
    to[i] = finite(high) ? high : problem.start[i];
  }
}

// Settled flows of the joined side, as flows of both sides through the public nodes, and the plan they make. Costs
// are overwritten.
JAXCPP_BLOCK void write_through(Block& block, const Problem& problem, Contract& c, const double* asks,
                                const jaxcpp::Result& result) {
  const int columns = int(problem.retailer.columns), sources = int(problem.supplier.columns);
  double* const ways = c.retailer.space;
  for (int e = block.thread(); e < c.columns * c.n; e += block.threads()) {
    const int k = e / c.columns, a = e - k * c.columns;
    int way = 0;
    if (*flow_at(c, k, a) > 0.0) (void)cheapest(problem, asks, c.node[k], c.chosen[a], &way);
    ways[a * c.n + k] = double(way);
  }
  block.sync();
  each_column(block, c.retailer, [&](int a) {
    for (int k = 0; k < c.n; ++k) {
      const double flow = *flow_at(c, k, a);
      if (flow > 0.0) result.taken[int(ways[a * c.n + k]) * columns + c.chosen[a]] += flow;
    }
  });
  each_node(block, c, [&](int k) {
    for (int a = 0; a < c.columns; ++a) {
      const double flow = *flow_at(c, k, a);
      if (flow > 0.0) result.shipped[int(ways[a * c.n + k]) * sources + c.node[k]] += flow;
    }
  });
  block.sync();
  for (int i = block.thread(); i < int(problem.nodes); i += block.threads()) {
    double sum = 0.0;
    for (int k = 0; k < sources; ++k) sum += result.shipped[i * sources + k];
    result.proposal[i] = sum;
  }
}

JAXCPP_BLOCK jaxcpp::Result result_at(const Batch& batch, int64_t index) {
  jaxcpp::Result result;
  result.price = batch.price + index * batch.nodes;
  if (batch.proposal) result.proposal = batch.proposal + index * batch.nodes;
  if (batch.taken) result.taken = batch.taken + index * batch.nodes * batch.retailer.columns;
  if (batch.shipped) result.shipped = batch.shipped + index * batch.nodes * batch.supplier.columns;
  return result;
}

// Load a problem whose path has ended once more, with the price it ended at; false where there was no path.
JAXCPP_BLOCK bool reopen(Block& block, const Problem& problem, const double* price, Contract& c) {
  if (!sound(block, problem)) return false;
  load(block, problem, c);
  each_node(block, c, [&](int i) { c.price[i] = price[c.node[i]]; });
  return true;
}

// Settle the flows of contract `index` at the price found, and of a joined one name the price at public nodes.
JAXCPP_BLOCK void settle_at(Block& block, const Batch& batch, const Joined& joined, bool is_joined, Contract& c,
                            int64_t index) {
  const Problem problem = jaxcpp::problem_at(batch, index);
  const jaxcpp::Result result = result_at(batch, index);
  const double epsilon = batch.out_epsilon[index];
  no_flows(block, problem, result);
  if (!is_joined) {
    if (reopen(block, problem, result.price, c)) settle(block, problem, c, epsilon, result);
    return;
  }
  const double* const asks = joined.asks + index * problem.nodes * problem.supplier.columns;
  const double* const price = joined.price + index * problem.supplier.columns;
  if (!reopen(block, jaxcpp::problem_at(joined.batch, index), price, c)) return;
  set_tolls(block, c, c.price);
  block.sync();
  spread_out(block, c, c.retailer, epsilon);
  price_nodes(block, problem, c, asks, result.price);
  block.sync();
  settle_on(block, c, c.retailer, true);
  write_through(block, problem, c, asks, result);
}

}  // namespace
