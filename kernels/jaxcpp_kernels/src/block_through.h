// Two sides joined over their public nodes, on a block of threads: through.h's twin.
//
// The joined side takes the retailer's place: its nodes are the sources, then stock of the retailer's that is held
// somewhere. `node` says where the stock is, `chosen` which sources they are, after the columns.
#pragma once

#include "block_settle.h"

namespace {

// What a unit costs at a node in the arrays of one side; kMissing where there is no lane.
JAXCPP_BLOCK double cost_at(const SideView& view, int i, int64_t j) {
  if (view.open && !view.open[i]) return kMissing;
  const int weeks = int(view.weeks), place = i / weeks;
  const double cost = view.cost[place * view.columns + j];
  return cleaned(view.time ? cost + view.time[(i - place * weeks) * view.columns + j] : cost);
}

JAXCPP_BLOCK int source(const Contract& c, int k) { return c.chosen[c.supplier.first + k]; }

// Whether a contract whose columns are chosen is smaller when joined, with `room` for so many nodes.
JAXCPP_BLOCK bool worth_joining(Block& block, const Problem& problem, Contract& c, int room) {
  const SideView &ours = problem.retailer, &theirs = problem.supplier;
  const int nodes = int(problem.nodes);
  bool stocked = false;
  for (int i = block.thread(); theirs.stock && i < nodes; i += block.threads()) stocked = stocked || theirs.stock[i] > 0.0;
  if (block.warp() == 0)
    collect(block, ours.stock ? nodes : 0, [&](int i) { return ours.stock[i] > 0.0; }, c.node, room, c.count + 2);
  if (block.any(stocked)) return false;
  c.sources = c.count[1];
  c.held = c.count[2];
  return c.sources > 0 && c.sources + c.held <= room;
}

// What a unit costs from each source to each node, less what an idle one costs.
JAXCPP_BLOCK void ask(const Block& block, const Problem& problem, Contract& c) {
  const SideView& theirs = problem.supplier;
  for (int e = block.thread(); e < int(problem.nodes) * c.sources; e += block.threads()) {
    const int i = e / c.sources, k = source(c, e - i * c.sources);
    const double cost = cost_at(theirs, i, k);
    c.asks[e] = cost < kMissing ? cost - theirs.outside[k] : kMissing;
  }
}

// The price at which each of the joined side's nodes begins, and what it holds.
JAXCPP_BLOCK void open_nodes(const Block& block, const Problem& problem, Contract& c) {
  for (int to = block.thread(); to < c.padded; to += block.threads()) {
    double start = 0.0, stock = 0.0;
    if (to < c.sources) {
      stock = problem.supplier.mass[source(c, to)];
      for (int i = 0; i < int(problem.nodes); ++i) {
        const double asks = c.asks[i * c.sources + to];
        if (asks < kMissing) start = most(start, problem.start[i] - asks);
      }
    } else if (to < c.n) {
      const int i = c.node[to - c.sources];
      stock = problem.retailer.stock[i];
      start = most(problem.start[i], 0.0);
    }
    c.price[to] = c.trial[to] = start;
    c.retailer.stock[to] = stock;
    c.retailer.where[to] = uint32_t(to);
    c.fixed[to] = c.move[to] = c.supplier.stock[to] = 0.0;
    c.supplier.where[to] = 0;
  }
}

// The cheapest way from source `k` to private node `j` and the node it leads through.
JAXCPP_BLOCK double cheapest(const Problem& problem, const Contract& c, int k, int64_t j, int* way) {
  const SideView& ours = problem.retailer;
  const int weeks = int(ours.weeks), places = int(problem.nodes) / weeks;
  double low = kMissing;
  for (int p = 0, i = 0; p < places; ++p) {
    const double space = ours.cost[p * ours.columns + j];
    for (int w = 0; w < weeks; ++w, ++i) {
      const double cost = ours.time ? space + ours.time[w * ours.columns + j] : space;
      if (!(cost < kMissing) || (ours.open && !ours.open[i])) continue;
      const double all = c.asks[i * c.sources + k] + cost;
      if (!(all < low)) continue;
      low = all;
      *way = i;
    }
  }
  return low < 0.5 * kMissing ? low : kMissing;
}

// From the arrays of both sides to one side, in the retailer's place.
JAXCPP_BLOCK void join(Block& block, const Problem& problem, Contract& c) {
  const SideView& ours = problem.retailer;
  const int n = c.sources + c.held;
  c.stranded = 0.0;
  c.columns = c.retailer.columns;
  c.supplier.columns = 0;
  c.supplier.weeks = c.retailer.weeks = 1;
  c.supplier.places = c.retailer.places = n;
  c.retailer.unit_margin = problem.supplier.unit_margin;
  c.retailer.stock_margin = 0.0;
  resize(block, c, n);
  ask(block, problem, c);
  each_column(block, c.retailer, [&](int a) {
    const int j = c.chosen[a];
    c.mass[a] = ours.mass[j];
    c.root_mass[a] = sqrt(ours.mass[j]);
    c.outside[a] = ours.outside[j];
    c.lost[a] = ours.lost ? ours.lost[j] : 0.0;
  });
  block.sync();
  open_nodes(block, problem, c);
  for (int e = block.thread(); e < c.columns * n; e += block.threads()) {
    const int k = e / c.columns, a = e - k * c.columns;  // neighbours read neighbouring costs
    int way = 0;
    c.retailer.space[a * n + k] = k < c.sources ? cheapest(problem, c, k, c.chosen[a], &way)
                                                : cost_at(ours, c.node[k - c.sources], c.chosen[a]);
  }
  block.sync();
}

// The price at every public node, from the sources': what its cheapest source asks, or its stock. Where neither is,
// what no private node would pay; what each pays at best is in `wanting`.
JAXCPP_BLOCK void price_nodes(const Block& block, const Problem& problem, Contract& c, double* to) {
  for (int i = block.thread(); i < int(problem.nodes); i += block.threads()) {
    double low = kMissing, high = problem.start[i];
    for (int k = 0; k < c.sources; ++k) low = least(low, c.asks[i * c.sources + k] + c.price[k]);
    for (int h = 0; h < c.held; ++h)
      if (c.node[h] == i) low = least(low, c.price[c.sources + h]);
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
JAXCPP_BLOCK void write_through(Block& block, const Problem& problem, Contract& c, jaxcpp::Result* result) {
  const int64_t columns = problem.retailer.columns, theirs = problem.supplier.columns;
  double* const ways = c.retailer.space;
  for (int e = block.thread(); e < c.columns * c.sources; e += block.threads()) {
    const int k = e / c.columns, a = e - k * c.columns;
    int way = 0;
    if (*flow_at(c, k, a) > 0.0) (void)cheapest(problem, c, k, c.chosen[a], &way);
    ways[a * c.n + k] = double(way);
  }
  block.sync();
  each_column(block, c.retailer, [&](int a) {
    for (int k = 0; k < c.n; ++k) {
      const double flow = *flow_at(c, k, a);
      if (!(flow > 0.0)) continue;
      const int i = k < c.sources ? int(ways[a * c.n + k]) : c.node[k - c.sources];
      result->taken[i * columns + c.chosen[a]] += flow;
    }
  });
  for (int k = block.thread(); k < c.sources; k += block.threads())
    for (int a = 0; a < c.columns; ++a) {
      const double flow = *flow_at(c, k, a);
      if (flow > 0.0) result->shipped[int(ways[a * c.n + k]) * theirs + source(c, k)] += flow;
    }
  block.sync();
  for (int i = block.thread(); i < int(problem.nodes); i += block.threads()) {
    double sum = 0.0;
    for (int k = 0; k < c.sources; ++k) sum += result->shipped[i * theirs + source(c, k)];
    result->proposal[i] = sum;
  }
}

}  // namespace
