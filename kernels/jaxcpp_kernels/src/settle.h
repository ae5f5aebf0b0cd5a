// From a price to flows that keep every constraint: the twin of jaxcpp/transport/rounding.py, `settle`.
//
// Works in the memory of the lists, which nobody needs once the path has ended: after this a side answers
// no more prices.
#pragma once

#include "side.h"

namespace {

inline double* flow_of(Side* self, int j) { return self->split_exponent + size_t(j) * self->stride; }
inline double* used_of(Side* self, int j) { return self->split_weight + size_t(j) * self->stride; }

// Flows of the smoothed answer to `price`, without the smoothing's dust; what stays outside is `away`.
inline void spread_out(Side* self, const double* price, double epsilon) {
  const int stride = self->stride;
  const double per_epsilon = 1.0 / epsilon;
  for (int i = 0; i < stride; i += kDoubles) store(self->price + i, self->sign * load(price + i));
  for (int j = 0; j < self->m; ++j) {
    const double* cost = self->cost + size_t(j) * stride;
    double* flow = flow_of(self, j);
    const double best = best_of(*self, j);
    const Doubles top = spread(best);
    Doubles sum = {};
    for (int i = 0; i < stride; i += kDoubles) {
      const Doubles over = (top - (load(cost + i) + load(self->price + i))) * per_epsilon;
      const Doubles weight = exp_of(larger(over, spread(kFloorExponent)));
      store(flow + i, weight);
      sum += weight;
    }
    double away = exp_of(most((best - self->outside[j]) * per_epsilon, kFloorExponent));
    const double least_weight = kDust * (sum_of(sum) + away);
    away = away > least_weight ? away : 0.0;
    sum = Doubles{};
    for (int i = 0; i < stride; i += kDoubles) {
      const Doubles weight = load(flow + i);
      const Doubles kept = weight > spread(least_weight) ? weight : Doubles{};
      store(flow + i, kept);
      sum += kept;
    }
    const double per = self->mass[j] / (sum_of(sum) + away);
    for (int i = 0; i < stride; i += kDoubles) store(flow + i, load(flow + i) * per);
    self->away[j] = away * per;
  }
}

// Units through each node, of the columns that need something, or of all; `to` is by node.
inline void add_up(Side* self, bool all, double* to) {
  for (int i = 0; i < self->stride; i += kDoubles) store(to + i, Doubles{});
  for (int j = 0; j < self->m; ++j) {
    if (!all && self->outside[j] == 0.0) continue;
    const double* flow = flow_of(self, j);
    for (int i = 0; i < self->stride; i += kDoubles) store(to + i, load(to + i) + load(flow + i));
  }
}

inline Doubles stock_at(const Side& self, int i) { return self.stock ? load(self.stock + i) : Doubles{}; }

// `part / whole`, and 0 where there is no whole.
inline Doubles ratio(Doubles part, Doubles whole) {
  const Longs some = whole > Doubles{};
  const Doubles divided = part / (some ? whole : spread(1.0));
  return some ? divided : Doubles{};
}

inline double column_sum(Side* self, int j) {
  const double* flow = flow_of(self, j);
  Doubles sum = {};
  for (int i = 0; i < self->stride; i += kDoubles) sum += load(flow + i);
  return sum_of(sum);
}

// 1 where column `j` may be given more at this stage.
inline Doubles may_take(Side* self, int j, int i, bool in_use) {
  if (in_use) return load(used_of(self, j) + i);
  return load(self->cost + size_t(j) * self->stride + i) < spread(kMissing) ? spread(1.0) : Doubles{};
}

// Units that columns give way with, in the last stage, so that no node holds more than `weight`.
inline bool give_way(Side* self) {
  double *firm = self->plan, *spare = self->drift;
  add_up(self, false, firm);
  add_up(self, true, spare);
  Longs changed = {};
  for (int i = 0; i < self->stride; i += kDoubles) {
    const Doubles left = load(spare + i) - load(firm + i), fits = load(self->weight + i) - load(firm + i);
    const Doubles keeps = left > fits ? ratio(larger(fits, Doubles{}), left) : spread(1.0);
    changed |= (keeps < spread(1.0)) & (left > Doubles{});
    store(self->exponent + i, keeps);
  }
  if (sum_of(changed) == 0) return false;
  for (int j = 0; j < self->m; ++j) {
    if (self->outside[j] != 0.0) continue;
    double* flow = flow_of(self, j);
    for (int i = 0; i < self->stride; i += kDoubles) store(flow + i, load(flow + i) * load(self->exponent + i));
  }
  return true;
}

// One pass of a stage; false where it changes nothing. `ground` is the plan, `plan` the units through each node.
inline bool fill_pass(Side* self, int stage, bool all_stock) {
  const int stride = self->stride;
  const bool last = stage == 4, with_stock = all_stock || stage == 2 || last, in_use = stage == 0;
  double *wanting = self->mean, *share = self->exponent, *limit = self->weight;
  if (last) add_up(self, false, self->plan);
  for (int i = 0; i < stride; i += kDoubles) {
    store(limit + i, load(self->ground + i) + (with_stock ? stock_at(*self, i) : Doubles{}));
    store(self->drift + i, Doubles{});
  }
  for (int j = 0; j < self->m; ++j) {
    const bool yields = last && self->outside[j] == 0.0;
    const double wants = self->mass[j] - column_sum(self, j) - (stage == 3 ? 0.0 : self->away[j]);
    wanting[j] = yields ? 0.0 : most(wants, 0.0);
    if (!(wanting[j] > 0.0)) continue;
    for (int i = 0; i < stride; i += kDoubles)
      store(self->drift + i, load(self->drift + i) + may_take(self, j, i, in_use) * wanting[j]);
  }
  for (int i = 0; i < stride; i += kDoubles) {
    const Doubles room = larger(load(limit + i) - load(self->plan + i), Doubles{});
    store(share + i, ratio(room, load(self->drift + i)));
  }
  Longs changed = {};
  for (int j = 0; j < self->m; ++j) {
    if (!(wanting[j] > 0.0)) continue;
    double* flow = flow_of(self, j);
    Doubles arriving = {};
    for (int i = 0; i < stride; i += kDoubles) arriving += may_take(self, j, i, in_use) * wanting[j] * load(share + i);
    const double all = sum_of(arriving), taken = wanting[j] * (all > wanting[j] ? wanting[j] / all : 1.0);
    for (int i = 0; i < stride; i += kDoubles) {
      const Doubles now = load(flow + i), then = now + may_take(self, j, i, in_use) * taken * load(share + i);
      changed |= then != now;
      store(flow + i, then);
    }
  }
  const bool gave = last && give_way(self);
  return gave || sum_of(changed) != 0;
}

// Make the flows ship exactly `plan` (by node in use), as far as can be. With `all_stock`, there is no plan but
// stock, which may serve at every stage.
inline void settle_on(Side* self, const double* plan, bool all_stock) {
  const int stride = self->stride;
  add_up(self, true, self->plan);
  for (int i = 0; i < stride; i += kDoubles) {
    store(self->ground + i, load(plan + i));
    const Doubles shipped = load(self->plan + i), limit = load(plan + i) + stock_at(*self, i);
    store(self->weight + i, shipped > limit ? ratio(limit, shipped) : spread(1.0));
  }
  for (int j = 0; j < self->m; ++j) {
    double *flow = flow_of(self, j), *used = used_of(self, j);
    for (int i = 0; i < stride; i += kDoubles) {
      const Doubles kept = load(flow + i) * load(self->weight + i);
      store(flow + i, kept);
      store(used + i, kept > Doubles{} ? spread(1.0) : Doubles{});
    }
  }
  for (int step = 0; step < kFillStages * kFillPasses;) {
    add_up(self, true, self->plan);
    Doubles missing = {};
    for (int i = 0; i < stride; i += kDoubles)
      missing += larger(load(self->ground + i) - load(self->plan + i), Doubles{});
    double wanting = 0.0;
    for (int j = 0; j < self->m; ++j) wanting += most(self->mass[j] - column_sum(self, j) - self->away[j], 0.0);
    if (!(most(sum_of(missing), wanting) > kFilled)) return;
    const int stage = step / kFillPasses;
    step = fill_pass(self, stage, all_stock) ? step + 1 : (stage + 1) * kFillPasses;
  }
}

// What the smoothed answer ships, stock in use set off: a plan the side can live with exactly.
inline void propose(Side* self, double epsilon, double* plan) {
  add_up(self, true, self->plan);
  for (int i = 0; i < self->stride; ++i) {
    double used = 0.0;
    if (self->stock && self->stock[i] > 0.0) {
      const double pull = self->price[i] / epsilon, small = exp_of(pull < 0.0 ? pull : -pull);
      used = self->stock[i] * (pull < 0.0 ? small : 1.0) / (1.0 + small);
    }
    plan[i] = most(self->plan[i] - used, 0.0);
  }
}

// The flows as JAX lays them out, (nodes, columns), zero where nothing flows.
inline void write_flows(Side* self, const SideView& view, const int32_t* nodes, int64_t all_nodes, double* to) {
  memset(to, 0, sizeof(double) * size_t(all_nodes) * size_t(view.columns));
  int at = 0;
  for (int64_t j = 0; j < view.columns; ++j) {
    if (!(view.mass[j] > 0.0)) continue;
    const double* flow = flow_of(self, at++);
    for (int i = 0; i < self->n; ++i) to[size_t(nodes[i]) * size_t(view.columns) + size_t(j)] = flow[i];
  }
}

}  // namespace
