// From JAX's arrays to the core's: nodes and columns that carry nothing are left out.
#pragma once

#include "side.h"

namespace {

inline bool finite(double value) { return value - value == 0.0; }

// Numbers a side may hold; anything else is for nobody to solve.
inline bool sound(const SideView& view, int64_t nodes) {
  for (int64_t j = 0; j < view.columns; ++j) {
    if (!(view.mass[j] >= 0.0) || !finite(view.mass[j])) return false;
    if (view.mass[j] > 0.0 && !finite(view.outside[j])) return false;
    if (view.lost && !finite(view.lost[j])) return false;
  }
  for (int64_t i = 0; view.stock && i < nodes; ++i)
    if (!(view.stock[i] >= 0.0) || !finite(view.stock[i])) return false;
  for (int64_t e = 0; e < nodes * view.columns; ++e)
    if (!(view.cost[e] > -kMissing)) return false;
  return finite(view.unit_margin);
}

// Mark the nodes this side can use.
inline void mark_used(const SideView& view, int64_t nodes, unsigned char* used) {
  for (int64_t i = 0; i < nodes; ++i) {
    if (view.stock && view.stock[i] > 0.0) used[i] = 1;
    const double* row = view.cost + i * view.columns;
    for (int64_t j = 0; !used[i] && j < view.columns; ++j) used[i] = row[j] < kMissing && view.mass[j] > 0.0;
  }
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
  for (int64_t j = 0; j < view.columns; ++j) {
    if (!(view.mass[j] > 0.0)) continue;
    const int at = self->m++;
    self->mass[at] = view.mass[j];
    self->root_mass[at] = __builtin_sqrt(view.mass[j]);
    self->outside[at] = view.outside[j];
    self->lost[at] = view.lost ? view.lost[j] : 0.0;
    double* column = self->cost + size_t(at) * self->stride;
    const double* from = view.cost + j;
    for (int i = 0; i < n; ++i) {
      const double cost = from[nodes[i] * view.columns];
      column[i] = cost < kMissing ? cost : kMissing;
    }
    for (int i = n; i < self->stride; ++i) column[i] = kMissing;
  }
  for (int j = 0; j < self->m; ++j)
    for (int i = self->stride; i < self->float_stride; ++i) self->root[size_t(j) * self->float_stride + i] = 0.0f;
  for (int j = 0; j < self->m; ++j) self->count[j] = -1;
  for (int i = 0; i < self->stride; ++i) self->price[i] = 0.0;
  for (int j = self->m; j < padded_doubles(self->m); ++j) {
    self->total[j] = 1.0;
      self->mass[j] = self->outside[j] = self->lost[j] = self->best[j] = self->mean[j] = self->away[j] = 0.0;
  }
  bool any = false;
  for (int i = 0; i < n; ++i) {
    self->stock[i] = view.stock ? view.stock[nodes[i]] : 0.0;
    any = any || self->stock[i] > 0.0;
  }
  if (!any) self->stock = nullptr;
}

}  // namespace
