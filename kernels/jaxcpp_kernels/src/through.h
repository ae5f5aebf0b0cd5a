// Two sides joined over their public nodes, which limit and charge nothing themselves.
//
// A unit from source `k` to private node `j` takes the cheapest public node on its way, so the contract is
// one transport problem from sources to private nodes: a side whose public nodes are the sources, with
// their capacity as stock, living with a plan of nothing. Stock that the retailer holds at a node is one more
// source. There are far fewer sources than public nodes, as a rule, and the price at a node is what its cheapest
// source asks.
#pragma once

#include "load.h"
#include "settle.h"

namespace {

struct Through {
  int32_t *source, *held;  // the supplier's columns in use; nodes with stock of the retailer's
  int sources, held_count, stride;
  double* lanes;           // (nodes, stride) cost from each source, what idleness costs set off
  double* tile;            // (kTile, nodes) cost to a few columns, side by side
  int32_t* column;         // by column in use, its place in the view
  double unit_margin;
};

inline void lay_out(Through* self, Arena* arena, int64_t nodes, int64_t columns, int64_t supplier_columns) {
  self->source = arena->take<int32_t>(supplier_columns);
  self->held = arena->take<int32_t>(nodes);
  self->lanes = arena->take<double>(size_t(nodes) * padded_doubles(int(supplier_columns)));
  self->tile = arena->take<double>(size_t(nodes) * kTile);
  self->column = arena->take<int32_t>(columns);
}

// Whether there is a way to join the contract; finds its sources.
inline bool can_be_joined(Through* self, const Problem& problem) {
  const SideView &ours = problem.retailer, &theirs = problem.supplier;
  self->sources = self->held_count = 0;
  for (int64_t i = 0; i < problem.nodes; ++i) {
    if (theirs.stock && theirs.stock[i] > 0.0) return false;
    if (ours.stock && ours.stock[i] > 0.0) self->held[self->held_count++] = int32_t(i);
  }
  for (int64_t k = 0; k < theirs.columns; ++k)
    if (theirs.mass[k] > 0.0) self->source[self->sources++] = int32_t(k);
  self->unit_margin = theirs.unit_margin;
  return self->sources > 0;
}

inline int joined_nodes(const Through& self) { return self.sources + self.held_count; }

// The cheapest way from a few vectors of sources to a column: over all nodes, `through` from there.
template <int kVectors>
inline void join_some(const double* from, int stride, const double* through, int64_t nodes, double* to) {
  Doubles low[kVectors];
  for (int v = 0; v < kVectors; ++v) low[v] = spread(kMissing);
  for (int64_t i = 0; i < nodes; ++i, from += stride)
    for (int v = 0; v < kVectors; ++v) low[v] = smaller(load(from + v * kDoubles) + through[i], low[v]);
  for (int v = 0; v < kVectors; ++v) store(to + v * kDoubles, low[v]);
}

// A few columns of the joined side, from `first`. Their costs are first laid out node after node.
inline void join_tile(Through* self, const Problem& problem, int first, Side* to) {
  const int tile = to->m - first < kTile ? to->m - first : kTile;
  const int64_t nodes = problem.nodes;
  for (int64_t i = 0; i < nodes; ++i) {
    const NodeLanes lanes = lanes_of(problem.retailer, i);
    for (int a = 0; a < tile; ++a) {
      const double cost = cost_of(lanes, self->column[first + a]);
      self->tile[a * nodes + i] = cost < kMissing ? cost : __builtin_inf();
    }
  }
  for (int a = 0; a < tile; ++a) {
    double* cost = to->cost + size_t(first + a) * to->stride;
    for (int k = 0; k < self->stride;) {
      const int left = (self->stride - k) / kDoubles, vectors = left >= 4 ? 4 : left >= 2 ? 2 : 1;
      const double* through = self->tile + a * nodes;
      const auto some = vectors == 4 ? join_some<4> : vectors == 2 ? join_some<2> : join_some<1>;
      some(self->lanes + k, self->stride, through, nodes, cost + k);
      k += vectors * kDoubles;
    }
  }
}

// From the arrays of both sides to one side, and to the price of each source at the start.
inline void join(Through* self, const Problem& problem, Side* to, double* start) {
  const SideView &ours = problem.retailer, &theirs = problem.supplier;
  const int sources = self->sources, n = joined_nodes(*self), wide = padded_doubles(sources);
  self->stride = wide;
  to->present = true;
  to->n = n;
  to->stride = padded_doubles(n);
  to->float_stride = padded_floats(n + 1);
  to->sign = 1.0;
  to->unit_margin = 0.0;
  to->fallen = 0.0;
  to->m = 0;
  for (int i = 0; i < to->stride; ++i) start[i] = to->stock[i] = to->price[i] = 0.0;
  for (int64_t i = 0; i < problem.nodes; ++i) {
    const NodeLanes lanes = lanes_of(theirs, i);
    double* row = self->lanes + size_t(i) * wide;
    for (int k = 0; k < wide; ++k) {
      row[k] = k < sources ? cost_of(lanes, self->source[k]) : kMissing;
      if (row[k] >= kMissing) continue;
      row[k] -= theirs.outside[self->source[k]];
      start[k] = most(start[k], problem.start[i] - row[k]);
    }
  }
  for (int k = 0; k < sources; ++k) to->stock[k] = theirs.mass[self->source[k]];
  for (int h = 0; h < self->held_count; ++h) {
    to->stock[sources + h] = ours.stock[self->held[h]];
    start[sources + h] = most(problem.start[self->held[h]], 0.0);
  }
  for (int64_t j = 0; j < ours.columns; ++j) {
    if (!(ours.mass[j] > 0.0)) continue;
    const int at = to->m++;
    self->column[at] = int32_t(j);
    to->mass[at] = ours.mass[j];
    to->root_mass[at] = __builtin_sqrt(ours.mass[j]);
    to->outside[at] = ours.outside[j];
    to->lost[at] = ours.lost ? ours.lost[j] : 0.0;
    to->count[at] = -1;
  }
  for (int first = 0; first < to->m; first += kTile) join_tile(self, problem, first, to);
  for (int at = 0; at < to->m; ++at) {
    double* cost = to->cost + size_t(at) * to->stride;
    for (int k = 0; k < to->stride; ++k) cost[k] = k < sources && cost[k] < 0.5 * kMissing ? cost[k] : kMissing;
    for (int h = 0; h < self->held_count; ++h)
      cost[sources + h] = cost_of(lanes_of(ours, self->held[h]), self->column[at]);
    for (int i = to->stride; i < to->float_stride; ++i) to->root[size_t(at) * to->float_stride + i] = 0.0f;
  }
  for (int j = to->m; j < padded_doubles(to->m); ++j) {
    to->total[j] = 1.0;
    to->mass[j] = to->outside[j] = to->lost[j] = to->best[j] = to->mean[j] = to->away[j] = 0.0;
  }
}

// Margin of the units shipped at the last answer: money spent that `cost` was lowered by.
inline double margin_shipped(const Through& self, const Side& side) {
  Doubles units = {};
  for (int j = 0; j < side.m; j += kDoubles)
    units += load(side.mass + j) * (1.0 - load(side.away + j) / load(side.total + j));
  return self.unit_margin * sum_of(units);
}

// The price at every public node, from the sources' (`price`): what its cheapest source asks, or its stock.
// Where neither is, what no private node would pay.
inline void price_nodes(const Through& self, const Problem& problem, Side* side, const double* price, double* to) {
  for (int i = 0; i < side->stride; i += kDoubles) store(side->price + i, load(price + i));
  for (int64_t i = 0; i < problem.nodes; ++i) {
    const double* row = self.lanes + size_t(i) * self.stride;
    double low = kMissing;
    for (int k = 0; k < self.sources; ++k) low = least(low, row[k] + price[k]);
    to[i] = low;
  }
  for (int h = 0; h < self.held_count; ++h) {
    double* at = to + self.held[h];
    *at = least(*at, price[self.sources + h]);
  }
  for (int64_t i = 0; i < problem.nodes; ++i) {
    if (to[i] < 0.5 * kMissing) {
      if (!finite(to[i])) to[i] = problem.start[i];  // of an infinitely cheap lane
      continue;
    }
    const NodeLanes lanes = lanes_of(problem.retailer, i);
    double high = problem.start[i];
    for (int at = 0; at < side->m; ++at) {
      const double cost = cost_of(lanes, self.column[at]);
      if (cost < kMissing) high = most(high, best_of(*side, at) - cost);
    }
    to[i] = finite(high) ? high : problem.start[i];
  }
}

// Settled flows of the joined side, as flows of both sides through the public nodes, and the plan they make.
inline void write_through(const Through& self, const Problem& problem, Side* side, Result* result) {
  const int64_t columns = problem.retailer.columns, theirs = problem.supplier.columns;
  for (int at = 0; at < side->m; ++at) {
    const double* flow = flow_of(side, at);
    const int64_t j = self.column[at];
    for (int k = 0; k < side->n; ++k) {
      if (!(flow[k] > 0.0)) continue;
      if (k >= self.sources) {
        result->taken[self.held[k - self.sources] * columns + j] += flow[k];
        continue;
      }
      int64_t best = 0;
      double low = kMissing;
      for (int64_t i = 0; i < problem.nodes; ++i) {
        const double cost = self.lanes[size_t(i) * self.stride + k] + cost_of(lanes_of(problem.retailer, i), j);
        if (!(cost < low)) continue;
        low = cost;
        best = i;
      }
      result->taken[best * columns + j] += flow[k];
      if (result->shipped) result->shipped[best * theirs + self.source[k]] += flow[k];
      if (result->proposal) result->proposal[best] += flow[k];
    }
  }
}

}  // namespace
