// One contract in a block's memory: what is where, and how it gets there.
//
// As on the processor (load.h), columns without mass and nodes that nothing reaches are left out.
// Costs stay what they were given as, space plus time, which is what makes weeks fit into little memory.
#pragma once

#include "arena.h"
#include "block.h"
#include "problem.h"
#include "rules.h"

namespace {

using jaxcpp::Batch;
using jaxcpp::Problem;
using jaxcpp::Questions;
using jaxcpp::Sides;
using jaxcpp::SideView;

constexpr int kChunk = 32;  // columns looked at together, one bit of a word each
constexpr int kEdge = 4;    // of a tile of the slope
constexpr size_t kBlockAlign = 16;
constexpr int64_t kMostPlaces = 1 << 16, kMostWeeks = 1 << 15;  // as `Party::where` packs them

struct alignas(16) Four {
  float v[kEdge];
};

// The largest a problem of a batch can be, and whether its flows are to be settled.
struct Extent {
  int nodes = 0, columns[2] = {0, 0}, places[2] = {0, 0}, weeks[2] = {1, 1};
  bool flows = false;
};

struct Party {
  int first, columns, places, weeks;  // its columns are `first` and those that follow
  double unit_margin, stock_margin;   // of a unit shipped, and of one that stock replaces
  double *space, *time;  // (columns, places) and, with several weeks, (columns, weeks)
  double* toll;          // (padded) what a unit pays at a node; kMissing where this side is closed
  double* stock;         // (padded)
  uint32_t* where;       // (padded) place | week << 16 | closed << 31
};

struct Contract {
  int n, padded, rows, tiles, columns;  // `rows` of tiles; nodes padded to whole tiles
  Party retailer, supplier;
  double stranded;                               // units of the plan at nodes that nothing reaches
  double *mass, *outside, *lost, *root_mass;     // (columns), the retailer's first
  double *price, *trial, *move, *gradient, *ground, *fixed;  // (padded)
  double *step, *tangent;      // (padded), right-hand sides before
  double *halfway, *halfway2;  // (padded), right-hand sides when eliminated
  double *inflow, *inflow2;    // (padded), what back-substitution has gathered
  float* share;      // (kChunk, padded): shares times the root of the mass; between, a pad for sums
  uint32_t* live;    // (2, rows): which of a chunk's columns use a tile's nodes
  double* tally;     // (4, kChunk): best, total, mean, away of each column
  Four* tile;        // (kEdge, tiles): the slope's upper triangle, row by row of each tile
  uint32_t* corner;  // (tiles): row | column << 16 of each tile
  double* pivot;     // (rows, kPivot)
  double* wide;      // (warps, 4, nodes) where a thread's nodes are too many for its registers
  int32_t *node, *chosen, *count;
  unsigned char* used;
  double *flow, *away, *wanting;  // (nodes, columns), (columns), (columns): flows as they are settled
};

constexpr int kPivot = 10;  // of four rows: their pivots' inverses, and the entries above the diagonal

JAXCPP_DEVICE int rows_for(int nodes) { return (nodes + kEdge - 1) / kEdge; }
JAXCPP_DEVICE int tiles_for(int rows) { return rows * (rows + 1) / 2; }
// Where row `r` of tiles begins, of `rows`.
JAXCPP_DEVICE int row_at(int rows, int r) { return r * rows - r * (r - 1) / 2; }

// `near` is for what every round touches again and again, `far` for costs.
JAXCPP_DEVICE void lay_out(Contract* c, const Extent& extent, int warps, bool wide, Arena* near, Arena* far) {
  const int rows = rows_for(extent.nodes), padded = rows * kEdge, tiles = tiles_for(rows);
  const int columns = extent.columns[0] + extent.columns[1];
  double** const by_node[] = {&c->price,   &c->trial,   &c->move,     &c->gradient, &c->ground, &c->fixed,
                              &c->step,    &c->tangent, &c->halfway,  &c->halfway2, &c->inflow, &c->inflow2,
                              &c->retailer.toll, &c->supplier.toll, &c->retailer.stock, &c->supplier.stock};
  for (double** each : by_node) *each = near->take<double>(padded);
  c->retailer.where = near->take<uint32_t>(padded);
  c->supplier.where = near->take<uint32_t>(padded);
  const size_t pad = size_t(warps) * padded * 2;  // a double for each warp and node
  const size_t share = size_t(kChunk) * padded;
  c->share = near->take<float>(share > pad ? share : pad);
  c->live = near->take<uint32_t>(2 * size_t(rows));
  c->tally = near->take<double>(4 * kChunk);
  c->tile = near->take<Four>(kEdge * size_t(tiles));
  c->corner = near->take<uint32_t>(tiles);
  c->pivot = near->take<double>(size_t(rows) * kPivot);
  c->node = near->take<int32_t>(padded);
  c->count = near->take<int32_t>(3);
  double** const by_column[] = {&c->mass, &c->outside, &c->lost, &c->root_mass};
  for (double** each : by_column) *each = far->take<double>(columns);
  c->chosen = far->take<int32_t>(columns);
  c->used = far->take<unsigned char>(padded);
  c->retailer.space = far->take<double>(size_t(extent.columns[0]) * extent.places[0]);
  c->supplier.space = far->take<double>(size_t(extent.columns[1]) * extent.places[1]);
  c->retailer.time = far->take<double>(extent.weeks[0] > 1 ? size_t(extent.columns[0]) * extent.weeks[0] : 0);
  c->supplier.time = far->take<double>(extent.weeks[1] > 1 ? size_t(extent.columns[1]) * extent.weeks[1] : 0);
  c->wide = far->take<double>(wide ? size_t(warps) * 4 * extent.nodes : 0);
  c->flow = far->take<double>(extent.flows ? size_t(columns) * extent.nodes : 0);
  c->away = far->take<double>(extent.flows ? columns : 0);
  c->wanting = far->take<double>(extent.flows ? columns : 0);
}

// May nobody solve this? See `sound` in load.h.
JAXCPP_BLOCK bool spoiled(const Block& block, const SideView& view, int nodes) {
  bool bad = !finite(view.unit_margin);
  for (int j = block.thread(); j < view.columns; j += block.threads()) {
    const double mass = view.mass[j];
    bad = bad || !(mass >= 0.0) || !finite(mass) || (mass > 0.0 && !finite(view.outside[j]));
    bad = bad || (view.lost && !finite(view.lost[j]));
  }
  for (int i = block.thread(); view.stock && i < nodes; i += block.threads())
    bad = bad || !(view.stock[i] >= 0.0) || !finite(view.stock[i]);
  return bad;
}

JAXCPP_BLOCK bool sound(Block& block, const Problem& problem) {
  const int nodes = int(problem.nodes);
  bool bad = !(problem.epsilon > 0.0) || !finite(problem.epsilon);
  bad = bad || !finite(problem.strict) || !finite(problem.tolerance);
  for (int i = block.thread(); i < nodes; i += block.threads())
    bad = bad || !finite(problem.start[i]) || (problem.plan && !finite(problem.plan[i]));
  bad = bad || spoiled(block, problem.retailer, nodes);
  bad = bad || (!problem.plan && spoiled(block, problem.supplier, nodes));
  return !block.any(bad);
}

JAXCPP_BLOCK double cleaned(double cost) { return cost < kMissing ? cost : kMissing; }

// The columns in `c.chosen` from the party's first: their numbers and costs.
JAXCPP_BLOCK void load_columns(const Block& block, const SideView& view, Contract& c, Party& party, int nodes) {
  party.weeks = int(view.weeks);
  party.places = nodes / party.weeks;
  party.unit_margin = party.stock_margin = view.unit_margin;
  for (int a = block.thread(); a < party.columns; a += block.threads()) {
    const int j = c.chosen[party.first + a], to = party.first + a;
    c.mass[to] = view.mass[j];
    c.root_mass[to] = sqrt(view.mass[j]);
    c.outside[to] = view.outside[j];
    c.lost[to] = view.lost ? view.lost[j] : 0.0;
    for (int w = 0; party.weeks > 1 && w < party.weeks; ++w)
      party.time[a * party.weeks + w] = view.time ? cleaned(view.time[w * view.columns + j]) : 0.0;
  }
  const bool once = party.weeks == 1 && view.time;
  for (int e = block.thread(); e < party.columns * party.places; e += block.threads()) {
    const int p = e / party.columns, a = e - p * party.columns;  // neighbours read neighbouring costs
    const int j = c.chosen[party.first + a];
    const double cost = view.cost[int64_t(p) * view.columns + j];
    party.space[a * party.places + p] = cleaned(once ? cost + view.time[j] : cost);
  }
}

JAXCPP_BLOCK double lane_cost(const Party& party, int column, int place, int week) {
  const double space = party.space[column * party.places + place];
  return party.weeks > 1 ? space + party.time[column * party.weeks + week] : space;
}

// Can this side use node `i`?
JAXCPP_BLOCK bool reaches(const SideView& view, const Party& party, int i) {
  if (view.stock && view.stock[i] > 0.0) return true;
  if (view.open && !view.open[i]) return false;
  const int place = i / party.weeks, week = i - place * party.weeks;
  for (int a = 0; a < party.columns; ++a)
    if (lane_cost(party, a, place, week) < kMissing) return true;
  return false;
}

JAXCPP_BLOCK void load_node(const SideView& view, Party& party, int to, int i) {
  const uint32_t place = uint32_t(i / party.weeks), week = uint32_t(i) - place * uint32_t(party.weeks);
  const uint32_t closed = view.open && !view.open[i];
  party.where[to] = place | week << 16 | closed << 31;
  party.stock[to] = view.stock ? view.stock[i] : 0.0;
}

// Fill a contract laid out for problems of this extent.
JAXCPP_BLOCK void load(Block& block, const Problem& problem, Contract& c) {
  const int nodes = int(problem.nodes);
  const bool living = problem.plan != nullptr;
  const SideView &ours = problem.retailer, &theirs = problem.supplier;
  if (block.warp() == 0) {
    collect(block, int(ours.columns), [&](int j) { return ours.mass[j] > 0.0; }, c.chosen, c.count);
    block.warp_sync();
    const int more = living ? 0 : int(theirs.columns);
    collect(block, more, [&](int j) { return theirs.mass[j] > 0.0; }, c.chosen + c.count[0], c.count + 1);
  }
  block.sync();
  c.retailer.first = 0;
  c.retailer.columns = c.supplier.first = c.count[0];
  c.supplier.columns = c.count[1];
  c.columns = c.count[0] + c.count[1];
  load_columns(block, ours, c, c.retailer, nodes);
  load_columns(block, theirs, c, c.supplier, nodes);
  block.sync();
  double lost[1] = {0.0};
  for (int i = block.thread(); i < nodes; i += block.threads()) {
    const bool used = reaches(ours, c.retailer, i) || (!living && reaches(theirs, c.supplier, i));
    c.used[i] = used;
    if (!used && living) lost[0] += size_of(problem.plan[i]);
  }
  block.sync();
  block.sum(lost);
  c.stranded = lost[0];
  if (block.warp() == 0) collect(block, nodes, [&](int i) { return c.used[i] != 0; }, c.node, c.count + 2);
  block.sync();
  c.n = c.count[2];
  c.rows = rows_for(c.n);
  c.padded = c.rows * kEdge;
  c.tiles = tiles_for(c.rows);
  c.retailer.stock_margin = problem.joined ? 0.0 : c.retailer.unit_margin;
  for (int to = block.thread(); to < c.padded; to += block.threads()) {
    const bool real = to < c.n;
    const int i = real ? c.node[to] : 0;
    c.price[to] = c.trial[to] = real ? problem.start[i] : 0.0;
    c.fixed[to] = real && living ? problem.plan[i] : 0.0;
    c.move[to] = 0.0;
    if (real) load_node(ours, c.retailer, to, i);
    if (real && !living) load_node(theirs, c.supplier, to, i);
    if (real && living) c.supplier.where[to] = 0, c.supplier.stock[to] = 0.0;
  }
  for (int r = block.thread(); r < c.rows; r += block.threads())
    for (int s = r; s < c.rows; ++s) c.corner[row_at(c.rows, r) + s - r] = uint32_t(r) | uint32_t(s) << 16;
  block.sync();
}

}  // namespace
