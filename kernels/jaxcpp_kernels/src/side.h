// One side's smoothed answer to a price (jaxcpp/transport/side.py, `answer`), node by node.
//
// Lanes are kept by private node (column), public nodes contiguous. While the smoothing is wide every
// lane counts, and a column is worked on as vectors. Later all but a few of its lanes are out of reach
// (their share is below rounding error), and the column keeps a list of those within reach and some
// more; the list stands until prices have moved so far that a lane not on it could matter.
#pragma once

#include "core.h"
#include "laplacian.h"
#include "rules.h"

namespace {

using namespace jaxcpp;

constexpr double kReach = 32.0;     // in epsilon: exp(-32) is 1e-14
constexpr double kSlack = 12.0;     // in epsilon: what a list holds beyond reach
constexpr int kSparser = 3;         // a column is listed when its list is this much shorter than the column
constexpr double kFloorExponent = -1000.0;

struct Side {
  bool present;
  int m, n, stride;   // columns with mass, nodes in use, nodes padded to vectors
  int float_stride;   // nodes and the ground, padded to vectors
  double sign;        // +1 pays the price, -1 is paid it
  double unit_margin;
  double* cost;       // (m, stride)
  double *mass, *outside, *lost, *root_mass;           // (m)
  double *stock;                                       // (stride), or null
  double *best, *total, *mean, *away;                  // (m), of the last answer
  double *price, *exponent, *weight;                   // (stride)
  double *plan, *drift, *ground;                       // (stride), of the last answer; drift times epsilon
  // Columns worked on whole: their shares times the root of their mass.
  int whole;
  float* root;        // (whole, float_stride)
  // Listed columns: `count` lanes (negative: not listed) in slots of `stride`, and what every other
  // lane costs at least, price included, less what prices have fallen since (`fallen`).
  int32_t *count, *node;
  double *lane, *guard;
  double fallen;
  // Listed columns that split over several options in the last answer; others ship all on one.
  int splits;
  int32_t *split_column, *split_begin, *split_node;
  double *split_exponent, *split_weight;
};

inline void lay_out(Side* self, Arena* arena, int64_t columns, int64_t nodes) {
  const int m = int(columns), stride = padded_doubles(int(nodes));
  const size_t rows = padded_doubles(m), all = size_t(m) * stride;
  self->cost = arena->take<double>(all);
  double** const by_column[] = {&self->mass, &self->outside, &self->lost, &self->root_mass, &self->best,
                                &self->total, &self->mean, &self->away, &self->guard};
  for (double** each : by_column) *each = arena->take<double>(rows);
  double** const by_node[] = {&self->stock, &self->price, &self->exponent, &self->weight,
                              &self->plan, &self->drift, &self->ground};
  for (double** each : by_node) *each = arena->take<double>(stride);
  self->root = arena->take<float>(size_t(m) * padded_floats(int(nodes) + 1));
  self->count = arena->take<int32_t>(m);
  self->node = arena->take<int32_t>(all);
  self->lane = arena->take<double>(all);
  self->split_column = arena->take<int32_t>(m);
  self->split_begin = arena->take<int32_t>(m + 1);
  self->split_node = arena->take<int32_t>(all);
  self->split_exponent = arena->take<double>(all);
  self->split_weight = arena->take<double>(all);
}

// What one unit costs column `j` at the present price on its best lane or outside.
inline double best_of(const Side& self, int j) {
  const double* cost = self.cost + size_t(j) * self.stride;
  Doubles low = spread(self.outside[j]);
  for (int i = 0; i < self.stride; i += kDoubles) low = smaller(low, load(cost + i) + load(self.price + i));
  return least_of(low);
}

// A whole column at once.
inline void answer_whole(Side* self, int j, double per_epsilon) {
  const int stride = self->stride;
  double *exponent = self->exponent, *weight = self->weight;
  const double* cost = self->cost + size_t(j) * stride;
  const double best = best_of(*self, j);
  Doubles sum = {}, moment = {};
  const Doubles top = spread(best);
  for (int i = 0; i < stride; i += kDoubles) {
    const Doubles x = larger((top - (load(cost + i) + load(self->price + i))) * per_epsilon, spread(kFloorExponent));
    const Doubles e = exp_of(x);
    store(exponent + i, x);
    store(weight + i, e);
    sum += e;
    moment += e * x;
  }
  const double away_exponent = most((best - self->outside[j]) * per_epsilon, kFloorExponent);
  const double away = exp_of(away_exponent);
  const double total = sum_of(sum) + away;
  const double mean = (sum_of(moment) + away * away_exponent) / total;
  const double per = self->mass[j] / total;
  const float root = float(self->root_mass[j] / total);
  float* roots = self->root + size_t(self->whole++) * self->float_stride;
  for (int i = 0; i < stride; i += kDoubles) {
    const Doubles e = load(weight + i), flow = e * per;
    store(self->plan + i, load(self->plan + i) + flow);
    store(self->drift + i, load(self->drift + i) + flow * (mean - load(exponent + i)));
    *reinterpret_cast<HalfFloats*>(roots + i) = __builtin_convertvector(e, HalfFloats) * root;
  }
  if (away > 0.0) {
    const double kept = per * (away / total);
    for (int i = 0; i < stride; i += kDoubles)
      store(self->ground + i, load(self->ground + i) + load(weight + i) * kept);
  }
  self->best[j] = best;
  self->total[j] = total;
  self->mean[j] = mean;
  self->away[j] = away;
}

// List the lanes of column `j` that cost at most `limit`; false, and no list, where they are too many.
inline bool make_list(Side* self, int j, double limit) {
  const int stride = self->stride;
  const double* cost = self->cost + size_t(j) * stride;
  int32_t* node = self->node + size_t(j) * stride;
  double* lane = self->lane + size_t(j) * stride;
  self->count[j] = -1;
  Longs within = {};
  for (int i = 0; i < stride; i += kDoubles) within -= load(cost + i) + load(self->price + i) <= spread(limit);
  if (sum_of(within) * kSparser > stride) return false;
  int used = 0;
  for (int i = 0; i < stride; i += kDoubles) {
    uint32_t bits = mask_of(load(cost + i) + load(self->price + i) <= spread(limit));
    for (; bits; bits &= bits - 1) {
      const int at = i + __builtin_ctz(bits);
      node[used] = at;
      lane[used++] = cost[at];
    }
  }
  self->count[j] = used;
  self->guard[j] = limit - self->fallen;
  return true;
}

// Drop what costs more than `limit` from the list of column `j`.
inline void trim_list(Side* self, int j, double limit) {
  int32_t* node = self->node + size_t(j) * self->stride;
  double* lane = self->lane + size_t(j) * self->stride;
  int used = 0;
  for (int e = 0; e < self->count[j]; ++e) {
    const int i = node[e];
    const double cost = lane[e];
    node[used] = i;
    lane[used] = cost;
    used += cost + self->price[i] <= limit;
  }
  self->count[j] = used;
  self->guard[j] = limit - self->fallen;
}

// A listed column, first half: its best option, and its exponents among the splits where it splits.
// Returns false where the list no longer holds all that matters.
inline bool answer_listed(Side* self, int j, double per_epsilon, int* end) {
  const int32_t* node = self->node + size_t(j) * self->stride;
  const double* lane = self->lane + size_t(j) * self->stride;
  const int first = *end, count = self->count[j];
  const double outside = self->outside[j], reach = kReach / per_epsilon;
  double best = outside;
  double* paid = self->split_exponent + first;
  for (int e = 0; e < count; ++e) {
    paid[e] = lane[e] + self->price[node[e]];
    best = least(paid[e], best);
  }
  if (!(best + reach <= self->guard[j] + self->fallen)) return false;
  int used = 0;
  for (int e = 0; e < count; ++e) {  // writes never overtake reads
    const double over = paid[e] - best;
    self->split_node[first + used] = node[e];
    paid[used] = -over * per_epsilon;
    used += over < reach;
  }
  const double away_exponent = (best - outside) * per_epsilon;
  const bool stays = away_exponent > -kReach;
  self->best[j] = best;
  if (used + int(stays) > 1) {
    self->split_column[self->splits] = j;
    self->split_begin[self->splits++] = first;
    self->away[j] = stays ? away_exponent : kFloorExponent;  // its exponent, for now
    *end = first + used;
    return true;
  }
  self->total[j] = 1.0;
  self->mean[j] = 0.0;
  self->away[j] = stays ? 1.0 : 0.0;
  if (used > 0) self->plan[self->split_node[first]] += self->mass[j];
  return true;
}

// Second half, for all columns that split: exponentials, shares, flows.
inline void answer_splits(Side* self, int end) {
  self->split_begin[self->splits] = end;
  for (int e = end; e < padded_doubles(end); ++e) self->split_exponent[e] = kFloorExponent;
  for (int e = 0; e < end; e += kDoubles) store(self->split_weight + e, exp_of(load(self->split_exponent + e)));
  for (int s = 0; s < self->splits; ++s) {
    const int j = self->split_column[s], from = self->split_begin[s], to = self->split_begin[s + 1];
    const double away_exponent = self->away[j];
    const double away = away_exponent > -kReach ? exp_of(away_exponent) : 0.0;
    double total = away, moment = away * away_exponent;
    for (int e = from; e < to; ++e) {
      total += self->split_weight[e];
      moment += self->split_weight[e] * self->split_exponent[e];
    }
    const double per_total = 1.0 / total, mean = moment * per_total, mass = self->mass[j];
    self->total[j] = total;
    self->mean[j] = mean;
    self->away[j] = away;
    const double kept = mass * away * per_total;
    for (int e = from; e < to; ++e) {
      const int i = self->split_node[e];
      const double share = self->split_weight[e] * per_total;
      self->split_weight[e] = share;
      self->plan[i] += mass * share;
      self->drift[i] += mass * share * (mean - self->split_exponent[e]);
      self->ground[i] += kept * share;
    }
  }
}

// What stock answers: used where the price is above zero, smoothed.
inline void add_stock(Side* self, double epsilon, Totals* totals) {
  for (int i = 0; i < self->n; ++i) {
    const double stock = self->stock[i];
    if (!(stock > 0.0)) continue;
    const double pull = self->price[i] / epsilon, away = pull < 0.0 ? pull : -pull;
    const double small = exp_of(away), chance = (pull < 0.0 ? small : 1.0) / (1.0 + small);
    const double soft = (pull > 0.0 ? pull : 0.0) + log_of(1.0 + small);
    const double bend = stock * (small / (1.0 + small)) / (1.0 + small);
    totals->value -= epsilon * stock * soft;
    totals->bias += epsilon * stock * (soft - pull * chance);
    totals->bound -= stock * most(self->price[i], 0.0);
    self->plan[i] -= stock * chance;
    self->drift[i] += bend * pull;
    self->ground[i] += bend;
  }
}

// The answer at `price` (padded with zeros): plan, drift, ground, and totals to which this side's are
// added. Everything of the last answer is overwritten.
inline void answer(Side* self, const double* price, double epsilon, Totals* totals) {
  const int stride = self->stride, m = self->m;
  const double per_epsilon = 1.0 / epsilon;
  Doubles fall = {};
  for (int i = 0; i < stride; i += kDoubles) {
    const Doubles now = self->sign * load(price + i);
    fall = smaller(fall, now - load(self->price + i));
    store(self->price + i, now);
    store(self->plan + i, Doubles{});
    store(self->drift + i, Doubles{});
    store(self->ground + i, Doubles{});
  }
  self->fallen += least_of(fall);
  self->whole = self->splits = 0;
  int end = 0;
  for (int j = 0; j < m; ++j) {
    if (self->count[j] >= 0 && answer_listed(self, j, per_epsilon, &end)) continue;
    if (self->count[j] >= 0) {
      const bool listed = make_list(self, j, best_of(*self, j) + (kReach + kSlack) * epsilon);
      if (listed && answer_listed(self, j, per_epsilon, &end)) continue;
      self->count[j] = -1;
    }
    answer_whole(self, j, per_epsilon);
  }
  answer_splits(self, end);
  Totals mine = {0.0, 0.0, 0.0, 0.0};
  Doubles value = {}, bias = {}, bound = {}, forgone = {};
  for (int j = 0; j < m; j += kDoubles) {
    const Doubles mass = load(self->mass + j), total = load(self->total + j), best = load(self->best + j);
    const Doubles log_total = log_of(total);
    value += mass * (best - epsilon * log_total);
    bias += mass * (log_total - load(self->mean + j));
    bound += mass * best;
    forgone += load(self->lost + j) * mass * load(self->away + j) / total;
  }
  mine.value = sum_of(value);
  mine.bias = epsilon * sum_of(bias);
  mine.bound = sum_of(bound);
  if (self->stock) add_stock(self, epsilon, &mine);
  Doubles paid = {}, shipped = {};
  for (int i = 0; i < stride; i += kDoubles) {
    paid += load(self->price + i) * load(self->plan + i);
    shipped += load(self->plan + i);
  }
  mine.spend = mine.value + mine.bias - sum_of(paid) - sum_of(forgone) + self->unit_margin * sum_of(shipped);
  totals->value += mine.value;
  totals->bias += mine.bias;
  totals->bound += mine.bound;
  totals->spend += mine.spend;
}

// After an accepted answer, before a move (padded with zeros) to a smoothing of `epsilon`: lists where
// they are short, long enough for the move.
inline void make_lists(Side* self, double epsilon, const double* move) {
  Doubles low = {}, high = {};
  for (int i = 0; i < self->stride; i += kDoubles) {
    low = smaller(low, load(move + i));
    high = larger(high, load(move + i));
  }
  const double beyond = (kReach + kSlack) * epsilon + (-least_of(-high) - least_of(low));
  for (int j = 0; j < self->m; ++j) {
    const double limit = self->best[j] + beyond;
    if (self->count[j] >= 0 && limit - self->fallen <= self->guard[j])
      trim_list(self, j, limit);
    else
      make_list(self, j, limit);
  }
}

// Add this side's slope times epsilon to the Laplacian. Every coupling counts, however faint: it may
// be all that holds two parts of the network together.
inline void add_slope(const Side& self, Laplacian* to) {
  for (int i = 0; i < self.n; ++i) {
    const double through = __builtin_fabs(self.plan[i]) + (self.stock ? self.stock[i] : 0.0);
    couple_to_ground(to, i, float(self.ground[i] + kRidge * through));
  }
  couple_all(to, self.root, self.whole);
  for (int s = 0; s < self.splits; ++s) {
    const int from = self.split_begin[s], end = self.split_begin[s + 1];
    const double mass = self.mass[self.split_column[s]];
    for (int a = from; a < end; ++a) {
      const float flow = float(mass * self.split_weight[a]);
      const int i = self.split_node[a];  // a column's nodes ascend
      for (int b = a + 1; b < end; ++b) couple(to, i, self.split_node[b], flow * float(self.split_weight[b]));
    }
  }
}

}  // namespace
