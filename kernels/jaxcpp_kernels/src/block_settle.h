// From a price to flows that keep every constraint, on a block of threads: settle.h's twin. A thread sums a
// column, or a node, alone and in order.
#pragma once

#include "block_answer.h"

namespace {

JAXCPP_BLOCK double* flow_at(Contract& c, int i, int column) { return c.flow + size_t(i) * c.columns + column; }

// Do a thing for every column of a party, or for every node, a thread each.
template <typename Each>
JAXCPP_BLOCK void each_column(const Block& block, const Party& party, Each each) {
  for (int a = block.thread(); a < party.columns; a += block.threads()) each(party.first + a);
}
template <typename Each>
JAXCPP_BLOCK void each_node(const Block& block, const Contract& c, Each each) {
  for (int i = block.thread(); i < c.n; i += block.threads()) each(i);
}

JAXCPP_BLOCK double ratio(double part, double whole) { return whole > 0.0 ? part / whole : 0.0; }

// Flows of the smoothed answer to the tolls in place, without the smoothing's dust; what stays outside is `away`.
// What a unit costs at best is left in `wanting`.
JAXCPP_BLOCK void spread_out(Block& block, Contract& c, const Party& party, double epsilon) {
  const double per_epsilon = 1.0 / epsilon;
  const int n = c.n;
  each_column(block, party, [&](int j) {
    const Column column(c, j, per_epsilon);
    double best = column.outside, sum = 0.0, x;
    for (int i = 0; i < n; ++i) best = least(column.paid(i, n), best);
    for (int i = 0; i < n; ++i) {
      const double weight = column.weight(best, column.paid(i, n), &x);
      *flow_at(c, i, j) = weight;
      sum += weight;
    }
    double away = column.weight(best, column.outside, &x);
    const double least_weight = kDust * (sum + away);
    away = away > least_weight ? away : 0.0;
    sum = 0.0;
    for (int i = 0; i < n; ++i) {
      double* flow = flow_at(c, i, j);
      *flow = *flow > least_weight ? *flow : 0.0;
      sum += *flow;
    }
    const double per = column.mass / (sum + away);
    for (int i = 0; i < n; ++i) *flow_at(c, i, j) *= per;
    c.away[j] = away * per;
    c.wanting[j] = best;
  });
  block.sync();
}

// Units through a node, of the columns that need something, or of all.
JAXCPP_BLOCK double through(Contract& c, const Party& party, int i, bool all) {
  double sum = 0.0;
  for (int j = party.first; j < party.first + party.columns; ++j)
    if (all || c.outside[j] != 0.0) sum += *flow_at(c, i, j);
  return sum;
}

JAXCPP_BLOCK double column_sum(Contract& c, int j) {
  double sum = 0.0;
  for (int i = 0; i < c.n; ++i) sum += *flow_at(c, i, j);
  return sum;
}

// May column `j` be given more at node `i` at this stage? Lanes in use are those that carry something.
JAXCPP_BLOCK bool may_take(Contract& c, const Party& party, int i, int j, bool in_use) {
  if (in_use) return *flow_at(c, i, j) > 0.0;
  const uint32_t at = party.where[i];
  return !(at >> 31) && lane_cost(party, j - party.first, at & 0xffff, at >> 16 & 0x7fff) < kMissing;
}

// Memory by node while flows are settled, of a path that has ended.
struct Levels {
  double *units, *limit, *share, *keeps;
  JAXCPP_BLOCK explicit Levels(const Contract& c)
      : units(c.gradient), limit(c.ground), share(c.step), keeps(c.tangent) {}
};

// Units that columns give way with, in the last stage, so that no node holds more than `limit`.
JAXCPP_BLOCK bool give_way(Block& block, Contract& c, const Party& party, const Levels& at) {
  bool changed = false;
  each_node(block, c, [&](int i) {
    const double firm = through(c, party, i, false), left = through(c, party, i, true) - firm;
    const double fits = at.limit[i] - firm;
    at.keeps[i] = left > fits ? ratio(most(fits, 0.0), left) : 1.0;
    changed = changed || (at.keeps[i] < 1.0 && left > 0.0);
  });
  if (!block.any(changed)) return false;
  each_column(block, party, [&](int j) {
    for (int i = 0; c.outside[j] == 0.0 && i < c.n; ++i) *flow_at(c, i, j) *= at.keeps[i];
  });
  block.sync();
  return true;
}

// One pass of a stage; false where it changes nothing. `units` are those through each node.
JAXCPP_BLOCK bool fill_pass(Block& block, Contract& c, const Party& party, const Levels& at, int stage,
                            bool all_stock) {
  const bool last = stage == 4, with_stock = all_stock || stage == 2 || last, in_use = stage == 0;
  each_column(block, party, [&](int j) {
    const bool yields = last && c.outside[j] == 0.0;
    const double wants = c.mass[j] - column_sum(c, j) - (stage == 3 ? 0.0 : c.away[j]);
    c.wanting[j] = yields ? 0.0 : most(wants, 0.0);
  });
  block.sync();
  each_node(block, c, [&](int i) {
    double wanted = 0.0;
    for (int j = party.first; j < party.first + party.columns; ++j)
      if (c.wanting[j] > 0.0 && may_take(c, party, i, j, in_use)) wanted += c.wanting[j];
    at.limit[i] = c.fixed[i] + (with_stock ? party.stock[i] : 0.0);
    const double units = last ? through(c, party, i, false) : at.units[i];
    at.share[i] = ratio(most(at.limit[i] - units, 0.0), wanted);
  });
  block.sync();
  bool changed = false;
  each_column(block, party, [&](int j) {
    const double wanting = c.wanting[j];
    if (!(wanting > 0.0)) return;
    double all = 0.0;
    for (int i = 0; i < c.n; ++i)
      if (may_take(c, party, i, j, in_use)) all += wanting * at.share[i];
    const double taken = wanting * (all > wanting ? wanting / all : 1.0);
    for (int i = 0; i < c.n; ++i) {
      if (!may_take(c, party, i, j, in_use)) continue;
      double* flow = flow_at(c, i, j);
      const double then = *flow + taken * at.share[i];
      changed = changed || then != *flow;
      *flow = then;
    }
  });
  const bool some = block.any(changed);
  return (last && give_way(block, c, party, at)) || some;
}

// Make the flows ship exactly the plan in `fixed`, as far as can be. With `all_stock`, there is no plan but stock,
// which may serve at every stage.
JAXCPP_BLOCK void settle_on(Block& block, Contract& c, const Party& party, bool all_stock) {
  const Levels at(c);
  each_node(block, c, [&](int i) {
    const double units = through(c, party, i, true), limit = c.fixed[i] + party.stock[i];
    at.keeps[i] = units > limit ? ratio(limit, units) : 1.0;
  });
  block.sync();
  each_column(block, party, [&](int j) {
    for (int i = 0; i < c.n; ++i) *flow_at(c, i, j) *= at.keeps[i];
  });
  for (int step = 0; step < kFillStages * kFillPasses;) {
    block.sync();
    double sums[2] = {0.0, 0.0};
    each_node(block, c, [&](int i) {
      at.units[i] = through(c, party, i, true);
      sums[0] += most(c.fixed[i] - at.units[i], 0.0);
    });
    each_column(block, party, [&](int j) { sums[1] += most(c.mass[j] - column_sum(c, j) - c.away[j], 0.0); });
    block.sum(sums);
    if (!(most(sums[0], sums[1]) > kFilled)) break;
    const int stage = step / kFillPasses;
    step = fill_pass(block, c, party, at, stage, all_stock) ? step + 1 : (stage + 1) * kFillPasses;
  }
  block.sync();
}

// What the retailer's smoothed answer ships, stock in use set off: a plan it can live with exactly, to `fixed`.
JAXCPP_BLOCK void propose(Block& block, Contract& c, double epsilon) {
  each_node(block, c, [&](int i) {
    const double stock = c.retailer.stock[i];
    double used = 0.0;
    if (stock > 0.0) {
      const double pull = c.price[i] / epsilon, small = exp(-size_of(pull));
      used = stock * (pull < 0.0 ? small : 1.0) / (1.0 + small);
    }
    c.fixed[i] = most(through(c, c.retailer, i, true) - used, 0.0);
  });
  block.sync();
}

// The flows as JAX lays them out, (nodes, columns), where there is room for them and something flows.
JAXCPP_BLOCK void write_flows(const Block& block, Contract& c, const Party& party, const SideView& view, double* to) {
  each_column(block, party, [&](int j) {
    for (int i = 0; i < c.n; ++i) to[int64_t(c.node[i]) * view.columns + c.chosen[j]] = *flow_at(c, i, j);
  });
}

// Nothing flows.
JAXCPP_BLOCK void no_flows(const Block& block, const Problem& problem, const jaxcpp::Result& result) {
  const auto clear = [&block](double* array, int64_t count) {
    for (int64_t e = block.thread(); array && e < count; e += block.threads()) array[e] = 0.0;
  };
  clear(result.proposal, problem.nodes);
  clear(result.taken, problem.nodes * problem.retailer.columns);
  clear(result.shipped, problem.nodes * problem.supplier.columns);
}

// Flows of a path that has ended, at the price in place.
JAXCPP_BLOCK void settle(Block& block, const Problem& problem, Contract& c, double epsilon,
                         const jaxcpp::Result& result) {
  set_tolls(block, c, c.price);
  block.sync();
  spread_out(block, c, c.retailer, epsilon);
  if (!problem.plan) {
    propose(block, c, epsilon);
    each_node(block, c, [&](int i) { result.proposal[c.node[i]] = c.fixed[i]; });
    spread_out(block, c, c.supplier, epsilon);
    settle_on(block, c, c.supplier, false);
    write_flows(block, c, c.supplier, problem.supplier, result.shipped);
    each_node(block, c, [&](int i) { c.fixed[i] = least(c.fixed[i], through(c, c.supplier, i, true)); });
    block.sync();
  }
  settle_on(block, c, c.retailer, false);
  write_flows(block, c, c.retailer, problem.retailer, result.taken);
}

}  // namespace
