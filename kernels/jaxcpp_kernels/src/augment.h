// From a price to an exact optimum of one side that lives with a plan, by shortest augmenting paths.
//
// Every column ships all on its cheapest option at the price, so that a node holds more than it may, or less.
// The excess goes the cheapest way from node to node, columns changing their minds, to where there is too
// little or to the ground (outside options, and stock not needed); prices follow, so that at all times whatever
// ships is cheapest. What is missing then comes from the ground likewise. Any price will do to begin at; the
// nearer it is, the less is left to move. There are few nodes and many columns, so the ways between nodes are
// kept as a matrix: by pair, the least that any column asks for moving from one to the other.
// Source: Ahuja, Magnanti and Orlin, Network Flows (1993), section 9.7; the matrix, Tomizawa (1971).
#pragma once

#include "settle.h"

namespace {

constexpr int64_t kOfStock = -1;       // a way that no column carries: stock that is used, or no longer
constexpr int kMostRounds = 60;        // after which it is given up
constexpr double kFarthest = 1e100;    // what all columns may cost together
constexpr double kTie = 1e-13;         // options that differ by less are as cheap
constexpr double kGrid = 0x1.8p16;     // what is added to a cost and taken off again: a multiple of 2^-36 is left
constexpr double kNegligible = 4.0;    // of rounding error: units that nobody moves

struct Augment {
  Side* side;
  int n;                                // the ground is node n
  double *price, *excess, *used;        // (stride): units too many; of the stock
  double *distance, *open;              // (stride): from where the excess is; of nodes not yet settled
  double ground_distance, negligible;
  double *way, *to_ground;              // (n + 1, stride) and (n + 1): least cost of moving a unit
  int64_t *carrier, *ground_carrier;    // likewise: the column that asks it, or kOfStock
  int32_t *from;                        // (n + 1) on the shortest way, the node before; or -1
  int32_t *member, *members;            // (n + 1, m) and (n + 1): columns that ship through a node
  int32_t* option;                      // (n + 1, m) nodes that are as cheap to columns
  int64_t looked, round;                // lanes and ways looked at, and how many there are
};

inline void lay_out(Augment* self, Arena* arena, int64_t columns, int64_t nodes) {
  const size_t stride = padded_doubles(int(nodes)), rows = size_t(nodes) + 1;
  double** const by_node[] = {&self->price, &self->excess, &self->used, &self->distance, &self->open};
  for (double** each : by_node) *each = arena->take<double>(stride);
  self->way = arena->take<double>(rows * stride);
  self->carrier = arena->take<int64_t>(rows * stride);
  self->to_ground = arena->take<double>(rows);
  self->ground_carrier = arena->take<int64_t>(rows);
  self->from = arena->take<int32_t>(stride + 1);
  self->members = arena->take<int32_t>(rows);
  self->member = arena->take<int32_t>(rows * size_t(columns));
  self->option = arena->take<int32_t>(rows * size_t(columns));
}

JAXCPP_INLINE Longs load(const int64_t* from) { return *reinterpret_cast<const Longs*>(from); }
JAXCPP_INLINE void store(int64_t* to, Longs value) { *reinterpret_cast<Longs*>(to) = value; }

inline double stock_of(const Augment& self, int i) { return self.side->stock ? self.side->stock[i] : 0.0; }

inline double* units_of(Augment* self, int64_t j, int node) {
  return node == self->n ? self->side->away + j : flow_of(self->side, int(j)) + node;
}

// Column `j` ships through `node`: it offers ways from there.
inline void offer(Augment* self, int node, int32_t j) {
  const int stride = self->side->stride;
  const double* cost = self->side->cost + size_t(j) * stride;
  const double paid = node == self->n ? self->side->outside[j] : cost[node];
  double* way = self->way + size_t(node) * stride;
  int64_t* carrier = self->carrier + size_t(node) * stride;
  const Doubles base = spread(paid);
  const Longs me = Longs{} + int64_t(j);
  for (int i = 0; i < stride; i += kDoubles) {
    const Doubles asked = load(cost + i) - base, low = load(way + i);
    const Longs less = asked < low;
    store(way + i, less ? asked : low);
    store(carrier + i, less ? me : load(carrier + i));
  }
  const double asked = self->side->outside[j] - paid;
  if (asked < self->to_ground[node]) {
    self->to_ground[node] = asked;
    self->ground_carrier[node] = j;
  }
  self->looked += self->n + 1;
}

// All ways from a node anew.
inline void offer_all(Augment* self, int node) {
  const int stride = self->side->stride, n = self->n;
  double* way = self->way + size_t(node) * stride;
  for (int i = 0; i < stride; ++i) {
    const bool unused = node == n && i < n && self->used[i] > 0.0;
    way[i] = unused ? 0.0 : kMissing;
    self->carrier[size_t(node) * stride + i] = kOfStock;
  }
  self->to_ground[node] = node < n && self->used[node] < stock_of(*self, node) ? 0.0 : kMissing;
  self->ground_carrier[node] = kOfStock;
  const int32_t* member = self->member + size_t(node) * self->side->m;
  for (int e = 0; e < self->members[node]; ++e) offer(self, node, member[e]);
}

inline void join_in(Augment* self, int node, int32_t j) {
  self->member[size_t(node) * self->side->m + self->members[node]++] = j;
}

// Column `j` no longer ships through `node`.
inline void leave(Augment* self, int node, int32_t j) {
  int32_t* member = self->member + size_t(node) * self->side->m;
  int32_t& count = self->members[node];
  for (int e = 0; e < count; ++e) {
    if (member[e] != j) continue;
    member[e] = member[--count];
    break;
  }
  const int64_t* carrier = self->carrier + size_t(node) * self->side->stride;
  Longs carried = {};
  for (int i = 0; i < self->side->stride; i += kDoubles) carried |= load(carrier + i) == Longs{} + int64_t(j);
  if (self->ground_carrier[node] == j || sum_of(carried) != 0) offer_all(self, node);
}

// Column `j` ships `units` through `node`, with those that it may ship there already.
inline void place(Augment* self, int node, int32_t j, double units) {
  double* there = units_of(self, j, node);
  if (!(*there > 0.0)) join_in(self, node, j);
  *there += units;
  if (node < self->n) self->excess[node] += units;
}

// A column whose options `node[0]` to `node[count - 1]` are as cheap: nodes get what they need, those that no other
// column is left to serve first; the rest goes to one of the others. `shared` counts who is left.
inline void place_tied(Augment* self, int32_t j, const int32_t* node, int count, int32_t* shared) {
  double left = self->side->mass[j];
  int last = node[0];
  for (int e = 0; e < count; ++e) --shared[node[e]];
  for (int pass = 0; pass < 2; ++pass) {
    for (int e = 0; e < count; ++e) {
      if ((shared[node[e]] > 0) != (pass == 1)) continue;
      if (pass == 1) last = node[e];
      const double units = node[e] < self->n ? least(left, -self->excess[node[e]]) : 0.0;
      if (!(units > 0.0)) continue;
      place(self, node[e], j, units);
      left -= units;
    }
  }
  if (left > 0.0) place(self, last, j, left);
}

// Columns with options as cheap. They and their nodes may be a forest, of which there is always a column with no
// more than a single node that others could serve too; where it is none, they are taken as they come.
inline void place_all_tied(Augment* self, int tied) {
  const int32_t *first = self->side->split_begin, *node = self->option;
  int32_t *column = self->side->split_column, *shared = self->from;
  for (int i = 0; i <= self->n; ++i) shared[i] = i == self->n || !(self->price[i] > 0.0);
  for (int e = 0; e < first[tied]; ++e) ++shared[node[e]];
  bool forest = tied <= self->n;
  for (int step = 0; step < tied; ++step) {
    int chosen = -1;
    for (int c = 0; c < tied; ++c) {
      if (column[c] < 0) continue;
      if (chosen < 0) chosen = c;
      if (!forest) break;
      int others = 0;
      for (int e = first[c]; e < first[c + 1]; ++e) others += shared[node[e]] > 1;
      if (others > 1) continue;
      chosen = c;
      break;
    }
    place_tied(self, column[chosen], node + first[chosen], first[chosen + 1] - first[chosen], shared);
    column[chosen] = -1;
  }
}

// Sums of such numbers are exact, so that what ties does so in whatever order it was added up before.
template <typename Number>
JAXCPP_INLINE Number on_grid(Number value) {
  return (value + kGrid) - kGrid;
}

// Column `j` on its cheapest option, or, where several are, among the `tied` to be placed later. Returns what a unit
// then costs.
inline double choose(Augment* self, int32_t j, int* tied) {
  Side* side = self->side;
  double* cost = side->cost + size_t(j) * side->stride;
  double* flow = flow_of(side, j);
  for (int i = 0; i < side->stride; i += kDoubles) store(cost + i, on_grid(load(cost + i)));
  side->outside[j] = on_grid(side->outside[j]);
  const double best = best_of(*side, j);
  const double cheapest = least(best + kTie * (1.0 + size_of(best)), kFarthest);
  int32_t *begin = side->split_begin + *tied, *node = self->option;
  int end = *begin;
  for (int i = 0; i < side->stride; i += kDoubles) {
    store(flow + i, Doubles{});
    uint32_t bits = mask_of(load(cost + i) + load(self->price + i) <= spread(cheapest));
    for (; bits; bits &= bits - 1) node[end++] = i + __builtin_ctz(bits);
  }
  side->away[j] = 0.0;
  if (end == *begin || side->outside[j] <= cheapest) node[end++] = self->n;
  if (end == *begin + 1) {
    place(self, node[*begin], j, side->mass[j]);
    return best;
  }
  side->split_column[(*tied)++] = j;
  begin[1] = end;
  return best;
}

// Every column on its cheapest options at the price, and stock used where it is worth something. False where an
// option is infinitely cheap, or there is no end of units.
inline bool begin(Augment* self, Side* side, const double* price, const double* plan) {
  const int n = side->n, stride = side->stride;
  self->side = side;
  self->n = n;
  for (int i = 0; i < stride; ++i) {
    side->price[i] = self->price[i] = i < n && size_of(price[i]) > kTie ? on_grid(price[i]) : 0.0;
    self->used[i] = i < n && self->price[i] >= 0.0 ? stock_of(*self, i) : 0.0;
    self->excess[i] = i < n ? -plan[i] - self->used[i] : 0.0;
  }
  for (int i = 0; i <= n; ++i) self->members[i] = 0;
  double total = 0.0, spent = 0.0;
  int tied = 0;
  side->split_begin[0] = 0;
  for (int j = 0; j < side->m; ++j) {
    spent += choose(self, j, &tied);
    total += side->mass[j];
  }
  if (!finite(total) || !(size_of(spent) < kFarthest)) return false;
  place_all_tied(self, tied);
  for (int i = 0; i < n; ++i) {  // stock that is worth nothing need not be used
    if (self->price[i] != 0.0 || !(self->excess[i] < 0.0)) continue;
    const double idle = least(-self->excess[i], self->used[i]);
    self->used[i] -= idle;
    self->excess[i] += idle;
  }
  self->negligible = kNegligible * kPrecision * total;
  for (int i = 0; i <= n; ++i) offer_all(self, i);
  self->looked = self->round = int64_t(side->m + n + 1) * (n + 1);
  return true;
}

inline bool too_many(const Augment& self, int i) { return self.excess[i] > self.negligible; }
inline bool too_few(const Augment& self, int i) { return self.excess[i] < -self.negligible; }

// Look at the ways from a node that is `far` off.
inline void relax(Augment* self, int node, double far) {
  const int stride = self->side->stride, n = self->n;
  const double* way = self->way + size_t(node) * stride;
  const double paid = node < n ? self->price[node] : 0.0;
  for (int i = 0; i < stride; i += kDoubles) {
    const Doubles more = larger(load(way + i) + (load(self->price + i) - paid), Doubles{});
    const Doubles there = more + far, known = load(self->distance + i);
    const Longs less = there < known;
    uint32_t bits = mask_of(less);
    if (!bits) continue;
    store(self->distance + i, less ? there : known);
    store(self->open + i, less ? there : load(self->open + i));
    for (; bits; bits &= bits - 1) self->from[i + __builtin_ctz(bits)] = node;
  }
  self->looked += n + 1;
  const double there = far + most(self->to_ground[node] - paid, 0.0);
  if (!(there < self->ground_distance)) return;
  self->ground_distance = there;
  self->from[n] = node;
}

// Dijkstra's: the nearest node that has too few, from those that have `too_many` (or from the ground); -1 where
// there is none. The ground takes whatever comes.
inline int nearest(Augment* self, bool from_ground) {
  const int stride = self->side->stride, n = self->n;
  self->ground_distance = from_ground ? 0.0 : kMissing;
  for (int i = 0; i < stride; ++i)
    self->distance[i] = self->open[i] = !from_ground && i < n && too_many(*self, i) ? 0.0 : kMissing;
  for (int i = 0; i <= n; ++i) self->from[i] = -1;
  if (from_ground) relax(self, n, 0.0);
  for (int step = 0; step <= n; ++step) {
    Doubles low = spread(kMissing);
    for (int i = 0; i < stride; i += kDoubles) low = smaller(low, load(self->open + i));
    const double far = least_of(low);
    const double least_far = from_ground ? far : least(far, self->ground_distance);
    if (!(least_far < 0.5 * kMissing)) return -1;
    if (!from_ground && self->ground_distance <= far) return n;
    int at = 0;
    while (at < n && self->open[at] != far) ++at;
    if (at == n) return -1;
    if (too_few(*self, at)) return at;
    self->open[at] = kMissing;
    relax(self, at, far);
  }
  return -1;
}

inline int64_t carrier_of(const Augment& self, int from, int to) {
  return to == self.n ? self.ground_carrier[from] : self.carrier[size_t(from) * self.side->stride + to];
}

// Units of stock taken into use at a node, or (less than none) put back.
inline void use_stock(Augment* self, int node, double units, bool all) {
  const double before = self->used[node], stock = stock_of(*self, node);
  const double after = all ? (units > 0.0 ? stock : 0.0) : before + units;
  self->used[node] = after;
  if ((before < stock) != (after < stock)) offer_all(self, node);
  if ((before > 0.0) != (after > 0.0)) offer_all(self, self->n);
}

// Column `j` moves units from a node to another. A rest that is rounding error goes along.
inline void move(Augment* self, int32_t j, int from, int to, double units) {
  double *here = units_of(self, j, from), *there = units_of(self, j, to);
  const bool fresh = !(*there > 0.0);
  *there += units;
  *here -= units;
  if (fresh) {
    join_in(self, to, j);
    offer(self, to, j);
  }
  if (*here > kPrecision * self->side->mass[j]) return;
  if (from < self->n) self->excess[from] -= *here;
  *here = 0.0;
  leave(self, from, j);
}

// As many units as can be, along the shortest way to `target`. False where that is none.
inline bool send(Augment* self, int target) {
  const int n = self->n;
  double units = target < n ? -self->excess[target] : kMissing;
  int at = target;
  for (int hops = 0; self->from[at] >= 0 && hops <= n; at = self->from[at], ++hops) {
    const int before = self->from[at];
    const int64_t j = carrier_of(*self, before, at);
    units = least(units, j >= 0 ? *units_of(self, j, before)
                  : at == n     ? stock_of(*self, before) - self->used[before]
                                : self->used[at]);
  }
  if (at < n) units = least(units, self->excess[at]);
  if (!(units > 0.0)) return false;
  if (at < n) self->excess[at] -= units;
  if (target < n) self->excess[target] += units;
  // From the far end: what moves away from a node changes ways that were taken before only.
  for (at = target; self->from[at] >= 0;) {
    const int before = self->from[at];
    const int64_t j = carrier_of(*self, before, at);
    self->from[at] = -1;
    if (j >= 0)
      move(self, int32_t(j), before, at, units);
    else if (at == n)
      use_stock(self, before, units, units >= stock_of(*self, before) - self->used[before]);
    else
      use_stock(self, at, -units, units >= self->used[at]);
    at = before;
  }
  return true;
}

// Prices along the way: nothing ships dearer than it must.
inline void reprice(Augment* self, double far, bool from_ground) {
  if (!(far > 0.0)) return;
  for (int i = 0; i < self->n; ++i) self->price[i] += (from_ground ? 0.0 : far) - least(far, self->distance[i]);
}

// True where every node holds what it may: the flows are then cheapest, and the prices prove it.
inline bool settle_exactly(Augment* self, int64_t most_rounds) {
  const int n = self->n;
  for (int phase = 0; phase < 2; ++phase) {
    const bool from_ground = phase == 1;
    for (;;) {
      bool wanted = false;
      for (int i = 0; i < n && !wanted; ++i) wanted = from_ground ? too_few(*self, i) : too_many(*self, i);
      if (!wanted) break;
      if (self->looked >= most_rounds * self->round) return false;
      const int target = nearest(self, from_ground);
      if (target < 0) return false;
      reprice(self, target == n ? self->ground_distance : self->distance[target], from_ground);
      if (!send(self, target)) return false;
    }
  }
  double sum = 0.0;
  for (int i = 0; i < n; ++i) sum += self->price[i] + self->excess[i];
  return finite(sum);
}

}  // namespace
