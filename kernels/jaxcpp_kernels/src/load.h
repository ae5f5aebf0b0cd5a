// From JAX's arrays to the core's: nodes and columns that carry nothing are left out.
#pragma once

#include "side.h"

namespace {

// Numbers a side may hold; anything else is for nobody to solve. (Of costs, no number counts as a
// missing lane, and the infinitely cheap lane ends the path at its first round.)
inline bool sound(const SideView& view, int64_t nodes) {
  for (int64_t j = 0; j < view.columns; ++j) {
    if (!(view.mass[j] >= 0.0) || !finite(view.mass[j])) return false;
    if (view.mass[j] > 0.0 && !finite(view.outside[j])) return false;
    if (view.lost && !finite(view.lost[j])) return false;
  }
  for (int64_t i = 0; view.stock && i < nodes; ++i)
    if (!(view.stock[i] >= 0.0) || !finite(view.stock[i])) return false;
  return finite(view.unit_margin);
}

// The lanes of one public node.
struct NodeLanes {
  const double *cost, *time;
  bool open;
};

inline NodeLanes lanes_of(const SideView& view, int64_t node) {
  const int64_t place = view.weeks > 1 ? node / view.weeks : node;
  const double* time = view.time ? view.time + (node - place * view.weeks) * view.columns : nullptr;
  return NodeLanes{view.cost + place * view.columns, time, !view.open || view.open[node]};
}

JAXCPP_INLINE double cost_of(const NodeLanes& lanes, int64_t j) {
  const double cost = lanes.time ? lanes.cost[j] + lanes.time[j] : lanes.cost[j];
  return lanes.open && cost < kMissing ? cost : kMissing;
}

// Mark the nodes this side can use.
inline void mark_used(const SideView& view, int64_t nodes, unsigned char* used) {
  for (int64_t i = 0; i < nodes; ++i) {
    if (view.stock && view.stock[i] > 0.0) used[i] = 1;
    const NodeLanes lanes = lanes_of(view, i);
    for (int64_t j = 0; !used[i] && j < view.columns; ++j) used[i] = view.mass[j] > 0.0 && cost_of(lanes, j) < kMissing;
  }
}

constexpr int kTile = 8;  // columns filled together, so that a node's neighbouring lanes are read together

inline void fill_costs(Side* self, const SideView& view, const int32_t* nodes, const int64_t* columns, int first) {
  const int tile = self->m - first < kTile ? self->m - first : kTile, n = self->n;
  double* to = self->cost + size_t(first) * self->stride;
  for (int i = 0; i < n; ++i) {
    const NodeLanes lanes = lanes_of(view, nodes[i]);
    for (int a = 0; a < tile; ++a) to[size_t(a) * self->stride + i] = cost_of(lanes, columns[a]);
  }
  for (int a = 0; a < tile; ++a)
    for (int i = n; i < self->stride; ++i) to[size_t(a) * self->stride + i] = kMissing;
}

// Fill a side laid out for `view`, with the `n` nodes in use only.
inline void fill(Side* self, const SideView& view, const int32_t* nodes, int n, double sign) {
  self->present = true;
  self->n = n;
  self->stride = padded_doubles(n);
  self->float_stride = padded_floats(n + 1);
  self->sign = sign;
  self->unit_margin = view.unit_margin;
  self->fallen = 0.0;
  self->m = 0;
  int64_t columns[kTile];
  int first = 0;
  for (int64_t j = 0; j < view.columns; ++j) {
    if (!(view.mass[j] > 0.0)) continue;
    const int at = self->m++;
    self->mass[at] = view.mass[j];
    self->root_mass[at] = __builtin_sqrt(view.mass[j]);
    self->outside[at] = view.outside[j];
    self->lost[at] = view.lost ? view.lost[j] : 0.0;
    self->count[at] = -1;
    columns[at - first] = j;
    if (self->m - first < kTile) continue;
    fill_costs(self, view, nodes, columns, first);
    first = self->m;
  }
  fill_costs(self, view, nodes, columns, first);
  for (int j = self->m; j < padded_doubles(self->m); ++j) {
    self->total[j] = 1.0;
    self->mass[j] = self->outside[j] = self->lost[j] = self->best[j] = self->mean[j] = self->away[j] = 0.0;
  }
  // The dense columns' padding stays zero: what writes there writes up to `stride` only.
  for (int j = 0; j < self->m; ++j)
    for (int i = self->stride; i < self->float_stride; ++i) self->root[size_t(j) * self->float_stride + i] = 0.0f;
  for (int i = 0; i < self->stride; ++i) self->price[i] = 0.0;
  bool any = false;
  for (int i = 0; i < n; ++i) {
    self->stock[i] = view.stock ? view.stock[nodes[i]] : 0.0;
    any = any || self->stock[i] > 0.0;
  }
  if (!any) self->stock = nullptr;
}

}  // namespace
