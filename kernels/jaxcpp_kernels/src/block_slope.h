// Newton's linear system for a block: the graph Laplacian of laplacian.h, whose elimination never
// subtracts, in tiles of four by four.
//
// Four nodes are eliminated with one synchronization: every warp sums their rows and does the few
// sums among the four for itself, so nobody waits for what another found. Rows stay as they were
// summed; what the four do to each other is applied where it is used.
#pragma once

#include "block_contract.h"

namespace {

JAXCPP_BLOCK void clear_slope(const Block& block, Contract& c) {
  for (int t = block.thread(); t < kEdge * c.tiles; t += block.threads()) c.tile[t] = Four{};
}

// Add the products of a chunk of columns, as far as they have nodes in both of a tile's edges.
JAXCPP_BLOCK void couple(const Block& block, Contract& c, const uint32_t* live) {
  for (int t = block.thread(); t < c.tiles; t += block.threads()) {
    const int row = c.corner[t] & 0xffff, column = c.corner[t] >> 16;
    uint32_t bits = live[row] & live[column];
    if (!bits) continue;
    Four sum[kEdge];
#pragma unroll
    for (int a = 0; a < kEdge; ++a) sum[a] = c.tile[a * c.tiles + t];
    for (; bits; bits &= bits - 1) {
      const float* shares = c.share + first_bit(bits) * c.padded;
      const Four left = *reinterpret_cast<const Four*>(shares + kEdge * row);
      const Four right = *reinterpret_cast<const Four*>(shares + kEdge * column);
#pragma unroll
      for (int a = 0; a < kEdge; ++a)
#pragma unroll
        for (int b = 0; b < kEdge; ++b) sum[a].v[b] += left.v[a] * right.v[b];
    }
#pragma unroll
    for (int a = 0; a < kEdge; ++a) c.tile[a * c.tiles + t] = sum[a];
  }
}

// Four nodes and what eliminating one does to the next: row r becomes row r plus, for each k < r,
// `at(k, r) * inverse[k]` times row k.
struct Pivots {
  double inverse[kEdge];
  double entry[kEdge][kEdge];  // above the diagonal

  JAXCPP_BLOCK double factor(int k, int r) const { return entry[k][r] * inverse[k]; }

  // The rows' numbers, each with what it gets of those before it.
  JAXCPP_BLOCK void forward(double (&b)[kEdge]) const {
#pragma unroll
    for (int r = 1; r < kEdge; ++r)
#pragma unroll
      for (int k = 0; k < r; ++k) b[r] += factor(k, r) * b[k];
  }

  // From weights of the eliminated rows to weights of the rows as they stand.
  JAXCPP_BLOCK void transposed(double (&w)[kEdge]) const {
#pragma unroll
    for (int k = kEdge - 2; k >= 0; --k)
#pragma unroll
      for (int r = k + 1; r < kEdge; ++r) w[k] += factor(k, r) * w[r];
  }
};

// Eliminate four nodes among themselves, given the sums of their rows beyond, ground included.
JAXCPP_BLOCK Pivots pivots_of(const Contract& c, int at, double (&beyond)[kEdge]) {
  Pivots out;
#pragma unroll
  for (int k = 0; k < kEdge; ++k) {
    const Four row = c.tile[k * c.tiles + at];
#pragma unroll
    for (int r = 0; r < kEdge; ++r) out.entry[k][r] = r > k ? double(row.v[r]) : 0.0;
  }
#pragma unroll
  for (int k = 0; k < kEdge; ++k) {
    double pivot = beyond[k];
#pragma unroll
    for (int r = k + 1; r < kEdge; ++r) pivot += out.entry[k][r];
    out.inverse[k] = pivot > kLeastPivot ? 1.0 / pivot : 0.0;
#pragma unroll
    for (int r = k + 1; r < kEdge; ++r) {
      const double factor = out.factor(k, r);
      beyond[r] += factor * beyond[k];
#pragma unroll
      for (int u = r + 1; u < kEdge; ++u) out.entry[r][u] += factor * out.entry[k][u];
    }
  }
  return out;
}

// What a pair of the four's rows adds to the tiles below, for each product of their entries.
JAXCPP_BLOCK void weights_of(const Pivots& pivots, float (&weight)[kEdge][kEdge]) {
  double made[kEdge][kEdge];  // the eliminated rows, of the rows as they stand
#pragma unroll
  for (int r = 0; r < kEdge; ++r)
#pragma unroll
    for (int u = 0; u < kEdge; ++u) {
      made[r][u] = r == u ? 1.0 : 0.0;
#pragma unroll
      for (int k = u; k < r; ++k) made[r][u] += pivots.factor(k, r) * made[k][u];
    }
#pragma unroll
  for (int a = 0; a < kEdge; ++a)
#pragma unroll
    for (int b = a; b < kEdge; ++b) {
      double sum = 0.0;
#pragma unroll
      for (int r = b; r < kEdge; ++r) sum += pivots.inverse[r] * made[r][a] * made[r][b];
      weight[a][b] = weight[b][a] = float(sum);
    }
}

// The tiles below four eliminated rows.
JAXCPP_BLOCK void update_tiles(const Block& block, Contract& c, int row, const Pivots& pivots) {
  float weight[kEdge][kEdge];
  weights_of(pivots, weight);
  const int begin = row_at(c.rows, row);
  for (int t = row_at(c.rows, row + 1) + block.thread(); t < c.tiles; t += block.threads()) {
    const int left_at = begin + int(c.corner[t] & 0xffff) - row, right_at = begin + int(c.corner[t] >> 16) - row;
    Four right[kEdge], scaled[kEdge] = {};
#pragma unroll
    for (int k = 0; k < kEdge; ++k) right[k] = c.tile[k * c.tiles + right_at];
#pragma unroll
    for (int k = 0; k < kEdge; ++k)
#pragma unroll
      for (int l = 0; l < kEdge; ++l)
#pragma unroll
        for (int b = 0; b < kEdge; ++b) scaled[k].v[b] += weight[k][l] * right[l].v[b];
    Four sum[kEdge];
#pragma unroll
    for (int a = 0; a < kEdge; ++a) sum[a] = c.tile[a * c.tiles + t];
#pragma unroll
    for (int k = 0; k < kEdge; ++k) {
      const Four left = c.tile[k * c.tiles + left_at];
#pragma unroll
      for (int a = 0; a < kEdge; ++a)
#pragma unroll
        for (int b = 0; b < kEdge; ++b) sum[a].v[b] += left.v[a] * scaled[k].v[b];
    }
#pragma unroll
    for (int a = 0; a < kEdge; ++a) c.tile[a * c.tiles + t] = sum[a];
  }
}

// Eliminate row `row` of tiles, and its four nodes from the right-hand sides.
JAXCPP_BLOCK void eliminate(Block& block, Contract& c, int row) {
  const int begin = row_at(c.rows, row), node = kEdge * row;
  double beyond[kEdge] = {}, ground[kEdge], b0[kEdge], b1[kEdge];
  for (int t = begin + 1 + block.lane(); t < begin + c.rows - row; t += kLanes)
#pragma unroll
    for (int k = 0; k < kEdge; ++k) {
      const Four entry = c.tile[k * c.tiles + t];
#pragma unroll
      for (int u = 0; u < kEdge; ++u) beyond[k] += double(entry.v[u]);
    }
  block.warp_sum<1>(beyond);
#pragma unroll
  for (int k = 0; k < kEdge; ++k) {
    ground[k] = c.ground[node + k];
    b0[k] = c.step[node + k];
    b1[k] = c.tangent[node + k];
    beyond[k] += ground[k];
  }
  const Pivots pivots = pivots_of(c, begin, beyond);
  pivots.forward(b0);
  pivots.forward(b1);
  pivots.forward(ground);
  if (block.thread() == 0) {
    double* kept = c.pivot + row * kPivot;
#pragma unroll
    for (int k = 0; k < kEdge; ++k) {
      c.halfway[node + k] = b0[k];
      c.halfway2[node + k] = b1[k];
      *kept++ = pivots.inverse[k];
#pragma unroll
      for (int r = k + 1; r < kEdge; ++r) *kept++ = pivots.entry[k][r];
    }
  }
#pragma unroll
  for (int k = 0; k < kEdge; ++k) {
    b0[k] *= pivots.inverse[k];
    b1[k] *= pivots.inverse[k];
    ground[k] *= pivots.inverse[k];
  }
  pivots.transposed(b0);
  pivots.transposed(b1);
  pivots.transposed(ground);
  for (int u = node + kEdge + block.thread(); u < c.padded; u += block.threads()) {
    const int t = begin + u / kEdge - row;
    double more0 = 0.0, more1 = 0.0, more = 0.0;
#pragma unroll
    for (int k = 0; k < kEdge; ++k) {
      const double entry = c.tile[k * c.tiles + t].v[u % kEdge];
      more0 += b0[k] * entry;
      more1 += b1[k] * entry;
      more += ground[k] * entry;
    }
    c.step[u] += more0;
    c.tangent[u] += more1;
    c.ground[u] += more;
  }
  update_tiles(block, c, row, pivots);
  block.sync();
}

// Back-substitution for four nodes; what they give the rows above is added to those at once.
JAXCPP_BLOCK void substitute(Block& block, Contract& c, int row, double limit, double* longest) {
  const int node = kEdge * row;
  Pivots pivots;
  const double* kept = c.pivot + row * kPivot;
  double y0[kEdge], y1[kEdge], x0[kEdge], x1[kEdge];
#pragma unroll
  for (int k = 0; k < kEdge; ++k) {
    pivots.inverse[k] = *kept++;
#pragma unroll
    for (int r = k + 1; r < kEdge; ++r) pivots.entry[k][r] = *kept++;
    y0[k] = c.inflow[node + k];
    y1[k] = c.inflow2[node + k];
  }
  pivots.forward(y0);
  pivots.forward(y1);
#pragma unroll
  for (int k = kEdge - 1; k >= 0; --k) {
#pragma unroll
    for (int r = k + 1; r < kEdge; ++r) {
      y0[k] += pivots.entry[k][r] * x0[r];
      y1[k] += pivots.entry[k][r] * x1[r];
    }
    const double own = c.halfway[node + k] * pivots.inverse[k];
    *longest = most(*longest, size_of(own));
    x0[k] = least(most(own, -limit), limit) + y0[k] * pivots.inverse[k];
    x1[k] = (c.halfway2[node + k] + y1[k]) * pivots.inverse[k];
  }
  for (int r = block.thread(); r < node; r += block.threads()) {
    const int above = r / kEdge;
    const Four entry = c.tile[(r % kEdge) * c.tiles + row_at(c.rows, above) + row - above];
    double more0 = 0.0, more1 = 0.0;
#pragma unroll
    for (int k = 0; k < kEdge; ++k) {
      more0 += double(entry.v[k]) * x0[k];
      more1 += double(entry.v[k]) * x1[k];
    }
    c.inflow[r] += more0;
    c.inflow2[r] += more1;
  }
  if (block.thread() == 0)
#pragma unroll
    for (int k = 0; k < kEdge; ++k) {
      c.step[node + k] = x0[k];
      c.tangent[node + k] = x1[k];
    }
  block.sync();
}

// Newton's step and the path's tangent at the point last looked at, where the tangent's right-hand
// side is in its place. No node moves further than `longest` on its own; returns how far one would have.
JAXCPP_BLOCK double direct(Block& block, Contract& c, double epsilon, double longest) {
  for (int i = block.thread(); i < c.padded; i += block.threads()) {
    c.step[i] = c.gradient[i] * epsilon;
    c.inflow[i] = c.inflow2[i] = 0.0;
  }
  block.sync();
  for (int row = 0; row < c.rows; ++row) eliminate(block, c, row);
  double far = 0.0;
  for (int row = c.rows - 1; row >= 0; --row) substitute(block, c, row, longest, &far);
  return far;
}

// A rejected move is cut.
JAXCPP_BLOCK void cut_move(const Block& block, Contract& c) {
  for (int i = block.thread(); i < c.n; i += block.threads()) {
    c.move[i] *= kCut;
    c.trial[i] = c.price[i] + c.move[i];
  }
}

}  // namespace
