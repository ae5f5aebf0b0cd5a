// Newton's linear system: the weighted Laplacian of a graph whose nodes are the public nodes.
//
// Two nodes are joined by what one unit of price moves between them, and each is joined to the
// ground (outside options, stock). Gaussian elimination of such a matrix never subtracts: a
// pivot is the sum of what is left of its row (Grassmann, Taksar and Heyman 1985; for symmetric
// M-matrices, Alfa, Xue and Ye 2002). So every entry of the factor is accurate relative to itself,
// however weak the coupling, and single precision suffices. Pivots and right-hand sides are double:
// the net imbalance of a weakly coupled part must not drown in rounding.
//
// Nodes of low degree are eliminated first, as a sparse matrix; the rest is packed and eliminated as
// a dense one, in blocks.
#pragma once

#include "arena.h"
#include "rules.h"
#include "simd.h"

namespace {

constexpr int kBlock = 16;  // rows eliminated together; a multiple of kFloats

struct Dense {
  int n, stride;    // stride > n: column n is the ground
  float* entry;     // (n, stride), upper triangle
  double* inverse;  // (n) 1 / pivot
};

struct Laplacian {
  int n, words;
  bool full;         // are all pairs of nodes joined, as far as anybody knows
  Dense whole, core;
  float* apart;     // the core's entries where it is not the whole
  float* panel;     // (kBlock, stride)
  uint64_t* joined;  // (n, words) neighbours as bits
  int32_t* degree;
  int32_t* left;    // nodes not yet eliminated
  // The sparse part of the factor: pivots in order, each with its neighbours at the time.
  int pivots;
  int32_t *order, *row, *neighbour;
  float* value;
  double* inverse;
  int32_t* kept;    // the core's nodes
  double* packed;   // (2, stride) right-hand sides of the core
};

inline void lay_out(Laplacian* self, Arena* arena, int n) {
  const int stride = padded_floats(n + 1);
  const size_t square = size_t(n) * stride;
  self->n = n;
  self->words = (n + 63) / 64;
  self->whole = Dense{n, stride, arena->take<float>(square), nullptr};
  self->apart = arena->take<float>(square);
  self->core = Dense{n, stride, self->whole.entry, arena->take<double>(n)};
  self->panel = arena->take<float>(size_t(kBlock) * stride);
  self->joined = arena->take<uint64_t>(size_t(n) * self->words);
  self->degree = arena->take<int32_t>(n);
  self->left = arena->take<int32_t>(n);
  self->order = arena->take<int32_t>(n);
  self->row = arena->take<int32_t>(n + 1);
  self->neighbour = arena->take<int32_t>(square);
  self->value = arena->take<float>(square);
  self->inverse = arena->take<double>(n);
  self->kept = arena->take<int32_t>(n);
  self->packed = arena->take<double>(2 * size_t(stride));
}

// Use it for `n` nodes, no more than it was laid out for.
inline void resize(Laplacian* self, int n) {
  self->n = self->whole.n = n;
  self->whole.stride = padded_floats(n + 1);
  self->words = (n + 63) / 64;
}

inline void clear(Laplacian* self) {
  memset(self->whole.entry, 0, sizeof(float) * size_t(self->n) * self->whole.stride);
  memset(self->joined, 0, sizeof(uint64_t) * size_t(self->n) * self->words);
  self->full = false;
}

// Couple two nodes, a before b.
JAXCPP_INLINE void couple(Laplacian* self, int a, int b, float amount) {
  self->whole.entry[size_t(a) * self->whole.stride + b] += amount;
  self->joined[size_t(a) * self->words + b / 64] |= uint64_t(1) << (b % 64);
  self->joined[size_t(b) * self->words + a / 64] |= uint64_t(1) << (a % 64);
}

JAXCPP_INLINE void couple_to_ground(Laplacian* self, int a, float amount) {
  self->whole.entry[size_t(a) * self->whole.stride + self->n] += amount;
}

// Add q^T q, over `depth` rows of q, to a tile of a matrix: `kRows` rows from `r`, kWide vectors from
// column `c`. Both matrices have the same stride. Only the first `rows` rows are written; q is read as
// far as row r + kRows - 1 has a column, which the padding for the ground allows.
constexpr int kRows = 4;

template <int kWide>
JAXCPP_INLINE void add_tile(float* entry, const float* q, int stride, int depth, int r, int rows, int c) {
  Floats sum[kRows][kWide] = {};
  for (int j = 0; j < depth; ++j) {
    const float* at = q + size_t(j) * stride;
    Floats right[kWide];
    for (int w = 0; w < kWide; ++w) right[w] = load(at + c + w * kFloats);
    for (int a = 0; a < kRows; ++a) {
      const Floats left = spread(at[r + a]);
      for (int w = 0; w < kWide; ++w) sum[a][w] += left * right[w];
    }
  }
  for (int a = 0; a < rows; ++a) {
    float* out = entry + size_t(r + a) * stride + c;
    for (int w = 0; w < kWide; ++w) store(out + w * kFloats, load(out + w * kFloats) + sum[a][w]);
  }
}

// Add q^T q to the upper triangle of rows `from` to `to`, and here and there beyond it.
inline void add_products(float* entry, const float* q, int stride, int depth, int from, int to) {
  for (int r = from; r < to; r += kRows) {
    const int rows = to - r < kRows ? to - r : kRows;
    int c = r / kFloats * kFloats;
    for (; c + 2 * kFloats <= stride; c += 2 * kFloats) add_tile<2>(entry, q, stride, depth, r, rows, c);
    if (c < stride) add_tile<1>(entry, q, stride, depth, r, rows, c);
  }
}

// Couple all nodes with each other: by q^T q, `count` rows.
inline void couple_all(Laplacian* self, const float* q, int count) {
  constexpr int kDepth = 32;  // rows of q that stay in the nearest cache
  const int stride = self->whole.stride;
  self->full = self->full || count > 0;
  for (int j = 0; j < count; j += kDepth)
    add_products(self->whole.entry, q + size_t(j) * stride, stride, count - j < kDepth ? count - j : kDepth, 0, self->n);
}

JAXCPP_INLINE double sum_from(const float* row, int from, int to) {
  Doubles sum = {};
  for (int u = from; u < to; u += kDoubles) sum += widen(row + u);
  return sum_of(sum);
}

// Eliminate all nodes of a dense matrix. Entries left of the diagonal within its block become zero.
// What stands further left is never read.
inline void eliminate(Dense* self, float* panel) {
  const int n = self->n, stride = self->stride;
  for (int k0 = 0; k0 < n; k0 += kBlock) {
    const int k1 = k0 + kBlock < n ? k0 + kBlock : n;
    for (int k = k0; k < k1; ++k) {
      float* row = self->entry + size_t(k) * stride;
      for (int u = k0; u <= k; ++u) row[u] = 0.0f;
      const double pivot = sum_from(row, k0, stride);
      const double inverse = pivot > kLeastPivot ? 1.0 / pivot : 0.0;
      self->inverse[k] = inverse;
      const float root = float(__builtin_sqrt(inverse));
      float* scaled = panel + size_t(k - k0) * stride;
      for (int u = k0; u < stride; u += kFloats) store(scaled + u, load(row + u) * root);
      for (int r = k + 1; r < k1; ++r) {
        float* below = self->entry + size_t(r) * stride;
        const float factor = scaled[r];
        for (int u = k0; u < stride; u += kFloats) store(below + u, load(below + u) + factor * load(scaled + u));
      }
    }
    add_products(self->entry, panel, stride, k1 - k0, k1, n);
  }
}

// Eliminate node `v`, which has few neighbours; `used` counts the entries of the factor.
inline void eliminate_node(Laplacian* self, int v, int* used) {
  const int n = self->n, words = self->words, stride = self->whole.stride, first = *used;
  float* entry = self->whole.entry;
  const uint64_t* mine = self->joined + size_t(v) * words;
  const double ground = entry[size_t(v) * stride + n];
  double pivot = ground;
  for (int w = 0; w < words; ++w)
    for (uint64_t bits = mine[w]; bits; bits &= bits - 1) {
      const int u = 64 * w + __builtin_ctzll(bits);
      const float value = u < v ? entry[size_t(u) * stride + v] : entry[size_t(v) * stride + u];
      self->neighbour[*used] = u;
      self->value[(*used)++] = value;
      pivot += value;
    }
  const double inverse = pivot > kLeastPivot ? 1.0 / pivot : 0.0;
  self->order[self->pivots] = v;
  self->inverse[self->pivots++] = inverse;
  self->row[self->pivots] = *used;
  self->degree[v] = -1;
  for (int a = first; a < *used; ++a) {
    const int u = self->neighbour[a];
    const double factor = self->value[a] * inverse;
    entry[size_t(u) * stride + n] += float(factor * ground);
    for (int b = a + 1; b < *used; ++b)  // neighbours ascend
      entry[size_t(u) * stride + self->neighbour[b]] += float(factor * self->value[b]);
    uint64_t* theirs = self->joined + size_t(u) * words;
    int count = 0;
    for (int w = 0; w < words; ++w) {
      uint64_t joined = theirs[w] | mine[w];
      if (w == u / 64) joined &= ~(uint64_t(1) << (u % 64));
      if (w == v / 64) joined &= ~(uint64_t(1) << (v % 64));
      theirs[w] = joined;
      count += __builtin_popcountll(joined);
    }
    self->degree[u] = count;
  }
}

// Eliminate nodes of low degree while that is cheaper than dense code; how many are left.
inline int eliminate_sparse(Laplacian* self) {
  int remaining = self->n, used = 0, least_degree = 0;
  for (int r = 0; r < self->n; ++r) self->left[r] = r;
  while (remaining > 0) {
    const int bound = least_degree;
    if (2 * int64_t(bound) * bound + 50 > int64_t(remaining) * remaining / 32 + 80) break;
    const int before = remaining;
    least_degree = remaining;
    remaining = 0;
    for (int a = 0; a < before; ++a) {
      const int v = self->left[a];
      if (self->degree[v] <= bound) {
        eliminate_node(self, v, &used);
        continue;
      }
      if (self->degree[v] < least_degree) least_degree = self->degree[v];
      self->left[remaining++] = v;
    }
  }
  return remaining;
}

// The number of edges; sets every node's degree.
inline int64_t count_edges(Laplacian* self) {
  int64_t twice = 0;
  for (int r = 0; r < self->n; ++r) {
    int degree = 0;
    for (int w = 0; w < self->words; ++w) degree += __builtin_popcountll(self->joined[size_t(r) * self->words + w]);
    self->degree[r] = degree;
    twice += degree;
  }
  return twice / 2;
}

inline void factorize(Laplacian* self) {
  const int n = self->n, from_stride = self->whole.stride;
  self->pivots = 0;
  self->row[0] = 0;
  Dense* core = &self->core;
  if (self->full || 4 * count_edges(self) > int64_t(n) * n) {
    for (int r = 0; r < n; ++r) self->kept[r] = r;
    core->n = n;
    core->stride = from_stride;
    core->entry = self->whole.entry;
  } else {
    const int remaining = eliminate_sparse(self);
    core->n = remaining;
    core->stride = padded_floats(remaining + 1);
    core->entry = self->apart;
    memcpy(self->kept, self->left, sizeof(int32_t) * remaining);  // in ascending order
    for (int r = 0; r < remaining; ++r) {
      const float* from = self->whole.entry + size_t(self->kept[r]) * from_stride;
      float* to = core->entry + size_t(r) * core->stride;
      for (int u = r / kBlock * kBlock; u < remaining; ++u) to[u] = from[self->kept[u]];
      to[remaining] = from[n];
      for (int u = remaining + 1; u < core->stride; ++u) to[u] = 0.0f;
    }
  }
  eliminate(core, self->panel);
}

// Solve in place for two right-hand sides, (n) each. In the first solution, what a node adds of its own
// to the mean of those it is coupled to is held to +-`limit`: a part of the network that hardly trades
// with the rest then moves that far as a whole, what differs within it is kept, and the product with
// the right-hand side stays positive. Returns the most that a node would have added.
inline double solve(Laplacian* self, double* b0, double* b1, double limit) {
  double longest = 0.0;
  const auto held = [&longest, limit](double value) {
    longest = most(longest, __builtin_fabs(value));
    return least(most(value, -limit), limit);
  };
  for (int a = 0; a < self->pivots; ++a) {
    const double f0 = b0[self->order[a]] * self->inverse[a], f1 = b1[self->order[a]] * self->inverse[a];
    for (int e = self->row[a]; e < self->row[a + 1]; ++e) {
      b0[self->neighbour[e]] += f0 * self->value[e];
      b1[self->neighbour[e]] += f1 * self->value[e];
    }
  }
  const Dense& core = self->core;
  double *p0 = self->packed, *p1 = self->packed + core.stride;
  for (int r = 0; r < core.stride; ++r) {
    p0[r] = r < core.n ? b0[self->kept[r]] : 0.0;
    p1[r] = r < core.n ? b1[self->kept[r]] : 0.0;
  }
  for (int k = 0; k < core.n; ++k) {
    const float* row = core.entry + size_t(k) * core.stride;
    const double f0 = p0[k] * core.inverse[k], f1 = p1[k] * core.inverse[k];
    for (int u = k / kBlock * kBlock; u < core.stride; u += kDoubles) {
      const Doubles entry = widen(row + u);
      store(p0 + u, load(p0 + u) + f0 * entry);
      store(p1 + u, load(p1 + u) + f1 * entry);
    }
  }
  p0[core.n] = p1[core.n] = 0.0;  // the ground's price
  for (int k = core.n - 1; k >= 0; --k) {
    const float* row = core.entry + size_t(k) * core.stride;
    Doubles sum0 = {}, sum1 = {};
    // Entries at and left of the diagonal are zero within the block.
    for (int u = k / kBlock * kBlock; u < core.stride; u += kDoubles) {
      const Doubles entry = widen(row + u);
      sum0 += entry * load(p0 + u);
      sum1 += entry * load(p1 + u);
    }
    p0[k] = held(p0[k] * core.inverse[k]) + sum_of(sum0) * core.inverse[k];
    p1[k] = (p1[k] + sum_of(sum1)) * core.inverse[k];
  }
  for (int r = 0; r < core.n; ++r) {
    b0[self->kept[r]] = p0[r];
    b1[self->kept[r]] = p1[r];
  }
  for (int a = self->pivots - 1; a >= 0; --a) {
    double x0 = 0.0, x1 = 0.0;
    for (int e = self->row[a]; e < self->row[a + 1]; ++e) {
      x0 += self->value[e] * b0[self->neighbour[e]];
      x1 += self->value[e] * b1[self->neighbour[e]];
    }
    const int v = self->order[a];
    b0[v] = held(b0[v] * self->inverse[a]) + x0 * self->inverse[a];
    b1[v] = (b1[v] + x1) * self->inverse[a];
  }
  return longest;
}

}  // namespace
