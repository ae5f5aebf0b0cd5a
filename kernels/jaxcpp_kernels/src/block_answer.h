// Both sides' smoothed answers to a price, a warp to a column, or to `kSplit` columns where nodes are few,
// and the slope of their sum.
//
// The outside option is one more lane of a column, the last. What a column ships is summed at its nodes
// by the threads that own them, in registers, then over the warps in their order.
#pragma once

#include "block_slope.h"

namespace {

constexpr double kNowhere = 2.0 * kMissing;

// In epsilon: as far as a coupling is not nothing in single precision. Where all is decided, such a
// faint one is all that tells a node which way to go.
constexpr double kFaint = 80.0;

// What a warp's columns add to the nodes of one of its threads: the imbalance, units through, the
// imbalance's drift times epsilon, and what ties to the ground.
enum { kNet, kThrough, kDrift, kGround, kFlows };

template <int kPer>
struct Flows {
  static constexpr int kNodes = kPer;
  double at[kFlows][kPer];

  JAXCPP_BLOCK void clear(const Block&, Contract&) {
#pragma unroll
    for (int f = 0; f < kFlows; ++f)
#pragma unroll
      for (int q = 0; q < kPer; ++q) at[f][q] = 0.0;
  }
};

// Nodes beyond what registers hold: the sums are in memory.
template <>
struct Flows<0> {
  double* at;
  int stride;

  JAXCPP_BLOCK void clear(const Block& block, Contract& c) {
    stride = c.n;
    at = c.wide + size_t(block.warp()) * kFlows * stride;
    for (int f = 0; f < kFlows; ++f)
      for (int i = block.lane(); i < c.n; i += kLanes) at[f * stride + i] = 0.0;
  }
};

// One column as its warp sees it.
struct Column {
  const double *space, *time, *toll;
  const uint32_t* where;
  bool weeks;
  double outside, mass, sign, per_epsilon;

  JAXCPP_BLOCK Column(const Contract& c, int j, double per) {
    const bool ours = j < c.supplier.first;
    const int mine = ours ? j : j - c.supplier.first;
    weeks = (ours ? c.retailer.weeks : c.supplier.weeks) > 1;
    space = (ours ? c.retailer.space : c.supplier.space) + mine * (ours ? c.retailer.places : c.supplier.places);
    time = (ours ? c.retailer.time : c.supplier.time) + mine * (ours ? c.retailer.weeks : c.supplier.weeks);
    toll = ours ? c.retailer.toll : c.supplier.toll;
    where = ours ? c.retailer.where : c.supplier.where;
    outside = c.outside[j];
    mass = c.mass[j];
    sign = ours ? 1.0 : -1.0;
    per_epsilon = per;
  }

  // What a unit costs by way of node `i`, price included; option `n` is outside.
  JAXCPP_BLOCK double paid(int i, int n) const {
    if (i >= n) return i == n ? outside : kNowhere;
    const uint32_t at = where[i];
    const double lane = space[at & 0xffff];
    return (weeks ? lane + time[at >> 16 & 0x7fff] : lane) + toll[i];
  }

  // Its weight and exponent beside the best; none where it is too faint, or no number.
  JAXCPP_BLOCK double weight(double best, double paid, double* exponent) const {
    const double x = (best - paid) * per_epsilon;
    const bool within = x > -kFaint;
    *exponent = within ? x : 0.0;
    return within ? exp(x) : 0.0;
  }
};

// A column's part in the chunk: shares for the slope, and its totals.
JAXCPP_BLOCK void keep(Contract& c, int slot, uint32_t* live, int i, double share, float root) {
  if (i >= c.padded) return;
  const float scaled = i < c.n ? float(share) * root : 0.0f;
  c.share[slot * c.padded + i] = scaled;
  if (scaled > 0.0f) raise_bit(live + i / kEdge, slot);
}

JAXCPP_BLOCK void keep_totals(Contract& c, int slot, double best, double total, double mean, double away) {
  c.tally[slot] = best;
  c.tally[kChunk + slot] = total;
  c.tally[2 * kChunk + slot] = mean;
  c.tally[3 * kChunk + slot] = away;
}

// The columns of a chunk from slot `base` on, one for each group of the warp; groups beyond the chunk's `count`
// keep step.
template <int kPer, int kSplit>
JAXCPP_BLOCK void answer_columns(Block& block, Contract& c, int first, int base, int count, double per_epsilon,
                                 uint32_t* live, Flows<kPer>& flows) {
  constexpr int kWidth = kLanes / kSplit;
  const int n = c.n, lane = block.lane() % kWidth, slot = base + block.lane() / kWidth;
  const bool mine = slot < count;
  const int j = first + (mine ? slot : base);
  const Column column(c, j, per_epsilon);
  double exponent[kPer], weight[kPer], best = kNowhere;
#pragma unroll
  for (int q = 0; q < kPer; ++q) {
    exponent[q] = column.paid(lane + q * kWidth, n);
    best = least(exponent[q], best);
  }
  best = block.warp_least<kSplit>(best);
  double sums[2] = {0.0, 0.0}, outside = 0.0;
#pragma unroll
  for (int q = 0; q < kPer; ++q) {
    weight[q] = column.weight(best, exponent[q], &exponent[q]);
    sums[0] += weight[q];
    sums[1] += weight[q] * exponent[q];
    if (lane + q * kWidth == n) outside = weight[q];
  }
  block.warp_sum<kSplit>(sums);
  const double away = block.warp_from<kSplit>(outside, n % kWidth), per_total = 1.0 / sums[0];
  const double mean = sums[1] * per_total, kept = away * per_total;
  const float root = float(c.root_mass[j]);
  if (!mine) return;
#pragma unroll
  for (int q = 0; q < kPer; ++q) {
    const double share = weight[q] * per_total, flow = column.mass * share;
    flows.at[kNet][q] += column.sign * flow;
    flows.at[kThrough][q] += flow;
    flows.at[kDrift][q] += column.sign * flow * (mean - exponent[q]);
    flows.at[kGround][q] += flow * kept;
    keep(c, slot, live, lane + q * kWidth, share, root);
  }
  if (lane == 0) keep_totals(c, slot, best, sums[0], mean, away);
}

// A column where nodes are too many for registers.
JAXCPP_BLOCK void answer_wide(Block& block, Contract& c, int first, int slot, double per_epsilon, uint32_t* live,
                              Flows<0>& flows) {
  const int j = first + slot;
  const Column column(c, j, per_epsilon);
  const int n = c.n;
  double best = kNowhere, x;
  for (int i = block.lane(); i <= n; i += kLanes) best = least(column.paid(i, n), best);
  best = block.warp_least<1>(best);
  double sums[2] = {0.0, 0.0};
  for (int i = block.lane(); i <= n; i += kLanes) {
    const double weight = column.weight(best, column.paid(i, n), &x);
    sums[0] += weight;
    sums[1] += weight * x;
  }
  block.warp_sum<1>(sums);
  const double away = column.weight(best, column.outside, &x), per_total = 1.0 / sums[0], mean = sums[1] * per_total;
  const double kept = away * per_total;
  const float root = float(c.root_mass[j]);
  for (int i = block.lane(); i < c.padded; i += kLanes) {
    const double share = i < n ? column.weight(best, column.paid(i, n), &x) * per_total : 0.0;
    keep(c, slot, live, i, share, root);
    if (!(share > 0.0)) continue;
    const double flow = column.mass * share;
    flows.at[kNet * flows.stride + i] += column.sign * flow;
    flows.at[kThrough * flows.stride + i] += flow;
    flows.at[kDrift * flows.stride + i] += column.sign * flow * (mean - x);
    flows.at[kGround * flows.stride + i] += flow * kept;
  }
  if (block.lane() == 0) keep_totals(c, slot, best, sums[0], mean, away);
}

// What a chunk's columns add to the totals of this thread.
JAXCPP_BLOCK void tally(const Block& block, const Contract& c, int first, int count, double epsilon, Totals* totals) {
  for (int slot = block.thread(); slot < count; slot += block.threads()) {
    const double best = c.tally[slot], total = c.tally[kChunk + slot];
    const double mean = c.tally[2 * kChunk + slot], stays = c.tally[3 * kChunk + slot] / total;
    const double mass = c.mass[first + slot], log_total = log(total);
    const double margin = first + slot < c.supplier.first ? c.retailer.unit_margin : c.supplier.unit_margin;
    totals->value += mass * (best - epsilon * log_total);
    totals->bias += epsilon * mass * (log_total - mean);
    totals->bound += mass * best;
    totals->spend += margin * mass * (1.0 - stays) - c.lost[first + slot] * mass * stays;
  }
}

// One kind of flow, over all warps; on the way the shares' memory is overwritten.
template <int kSplit, int kPer>
JAXCPP_BLOCK void gather(Block& block, Contract& c, const Flows<kPer>& flows, int kind, double* to) {
  double* pad = reinterpret_cast<double*>(c.share);
#pragma unroll
  for (int q = 0; q < kPer; ++q) {
    const int i = block.lane() + q * kLanes;
    const double sum = block.groups_sum<kSplit>(flows.at[kind][q]);
    if (i < c.n && block.lane() < kLanes / kSplit) pad[block.warp() * c.padded + i] = sum;
  }
  block.sync();
  for (int i = block.thread(); i < c.padded; i += block.threads()) {
    double sum = 0.0;
    for (int w = 0; i < c.n && w < block.warps(); ++w) sum += pad[w * c.padded + i];
    to[i] = sum;
  }
  block.sync();
}

template <int kSplit>
JAXCPP_BLOCK void gather(Block& block, Contract& c, const Flows<0>& flows, int kind, double* to) {
  block.sync();
  for (int i = block.thread(); i < c.padded; i += block.threads()) {
    double sum = 0.0;
    for (int w = 0; i < c.n && w < block.warps(); ++w) sum += c.wide[(size_t(w) * kFlows + kind) * flows.stride + i];
    to[i] = sum;
  }
}

// What stock answers at a node (side.h, add_stock): used where the price is above zero, smoothed.
JAXCPP_BLOCK void add_stock(const Party& party, Contract& c, int i, double price, double sign, double epsilon,
                            Totals* totals, double* through) {
  const double stock = party.stock[i];
  if (!(stock > 0.0)) return;
  const double pull = price / epsilon, small = exp(-size_of(pull));
  const double chance = (pull < 0.0 ? small : 1.0) / (1.0 + small);
  const double soft = most(pull, 0.0) + log(1.0 + small);
  const double bend = stock * (small / (1.0 + small)) / (1.0 + small);
  totals->value -= epsilon * stock * soft;
  totals->bias += epsilon * stock * (soft - pull * chance);
  totals->bound -= stock * most(price, 0.0);
  totals->spend -= party.stock_margin * stock * chance;
  c.gradient[i] -= sign * stock * chance;
  c.tangent[i] += sign * bend * pull;
  c.ground[i] += bend;
  *through += stock;
}

// Who is across the table of the retailer at a node, or of the one side: the supplier, or a fixed plan.
struct Across {
  bool living;

  // Closes node `i`, where the columns' flows are summed up, by what comes from across.
  JAXCPP_BLOCK void close(Contract& c, int i, double price, double epsilon, Totals* totals, double* through) const {
    if (!living) {
      add_stock(c.supplier, c, i, -price, -1.0, epsilon, totals, through);
      totals->spend -= price * c.gradient[i];
      return;
    }
    const double paid = price * c.fixed[i];
    totals->spend -= price * c.gradient[i] - paid;
    totals->value -= paid;
    totals->bound -= paid;
    c.gradient[i] -= c.fixed[i];
  }

  JAXCPP_BLOCK double spend(double sum) const { return living ? size_of(sum) : sum; }
};

// From the columns' flows to the imbalance and its drift, node by node.
template <typename Other>
JAXCPP_BLOCK void close_nodes(const Block& block, Contract& c, const Other& other, double epsilon, Totals* totals,
                              double* imbalance) {
  for (int i = block.thread(); i < c.n; i += block.threads()) {
    double through = c.inflow[i];
    add_stock(c.retailer, c, i, c.trial[i], 1.0, epsilon, totals, &through);
    other.close(c, i, c.trial[i], epsilon, totals, &through);
    c.ground[i] += kRidge * through;
    *imbalance += size_of(c.gradient[i]);
  }
}

JAXCPP_BLOCK void set_tolls(const Block& block, Contract& c, const double* price) {
  for (int i = block.thread(); i < c.n; i += block.threads()) {
    c.retailer.toll[i] = c.retailer.where[i] >> 31 ? kMissing : price[i];
    c.supplier.toll[i] = c.supplier.where[i] >> 31 ? kMissing : -price[i];
  }
}

template <int kPer, int kSplit>
JAXCPP_BLOCK void answer(Block& block, Contract& c, int first, int base, int count, double per_epsilon, uint32_t* live,
                         Flows<kPer>& flows) {
  if constexpr (kPer == 0)
    answer_wide(block, c, first, base, per_epsilon, live, flows);
  else
    answer_columns<kPer, kSplit>(block, c, first, base, count, per_epsilon, live, flows);
}

// The smoothed dual at the trial, its gradient (the imbalance), the path's right-hand side (to
// `tangent`) and the slope times epsilon. Every coupling counts, however faint: it may be all that holds
// two parts of the network together.
template <int kPer, int kSplit, typename Other>
JAXCPP_BLOCK Totals look(Block& block, Contract& c, const Other& other, double epsilon, double* imbalance) {
  const double per_epsilon = 1.0 / epsilon;
  Totals mine = {0.0, 0.0, 0.0, 0.0};
  Flows<kPer> flows;
  block.sync();
  flows.clear(block, c);
  clear_slope(block, c);
  set_tolls(block, c, c.trial);
  for (int r = block.thread(); r < 2 * c.rows; r += block.threads()) c.live[r] = 0;
  uint32_t *live = c.live, *next = c.live + c.rows;
  for (int first = 0; first < c.columns; first += kChunk) {
    const int count = c.columns - first < kChunk ? c.columns - first : kChunk;
    block.sync();
    for (int base = block.warp() * kSplit; base < count; base += block.warps() * kSplit)
      answer<kPer, kSplit>(block, c, first, base, count, per_epsilon, live, flows);
    block.sync();
    tally(block, c, first, count, epsilon, &mine);
    couple(block, c, live);
    for (int r = block.thread(); r < c.rows; r += block.threads()) next[r] = 0;
    uint32_t* const last = live;
    live = next;
    next = last;
  }
  block.sync();
  gather<kSplit>(block, c, flows, kNet, c.gradient);
  gather<kSplit>(block, c, flows, kThrough, c.inflow);
  gather<kSplit>(block, c, flows, kDrift, c.tangent);
  gather<kSplit>(block, c, flows, kGround, c.ground);
  *imbalance = 0.0;
  close_nodes(block, c, other, epsilon, &mine, imbalance);
  double sums[5] = {mine.value, mine.bias, mine.bound, mine.spend, *imbalance};
  block.sum(sums);
  *imbalance = sums[4];
  // What is paid for flows and for the fixed plan is no spend, and the sums have left it out.
  const double spend = sums[3] + sums[0] + sums[1];
  return Totals{sums[0], sums[1], sums[2], other.spend(spend)};
}

}  // namespace
