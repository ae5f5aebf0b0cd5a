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
#include "simd.h"

namespace {

constexpr int kBlock = 16;              // rows eliminated together; a multiple of kFloats
constexpr double kLeastPivot = 1e-36;   // near the smallest float

struct Dense {
  int n, stride;    // stride > n: column n is the ground
  float* entry;     // (n, stride), upper triangle
  double* inverse;  // (n) 1 / pivot
};

struct Laplacian {
  int n, words;
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
}

JAXCPP_INLINE void couple(Laplacian* self, int a, int b, float amount) {
  const int low = a < b ? a : b, high = a < b ? b : a;
  self->whole.entry[size_t(low) * self->whole.stride + high] += amount;
}

JAXCPP_INLINE void couple_to_ground(Laplacian* self, int a, float amount) {
  self->whole.entry[size_t(a) * self->whole.stride + self->n] += amount;
}

// Add q^T q for `count` rows q of the matrix's stride: the dense columns of a side.
inline void add_products(Dense* to, const float* q, int count) {
  const int stride = to->stride, n = to->n;
  constexpr int kRows = 4, kColumns = 2 * kFloats, kDepth = 32;
  for (int j0 = 0; j0 < count; j0 += kDepth) {
    const int j1 = j0 + kDepth < count ? j0 + kDepth : count;
    for (int r = 0; r < n; r += kRows) {
      const int rows = n - r < kRows ? n - r : kRows;
      for (int c = r / kFloats * kFloats; c < n; c += kColumns) {
        const bool pair = c + kFloats < stride;
        const int d = pair ? c + kFloats : c;
        Floats sum[kRows][2] = {};
        if (rows == kRows) {
          for (int j = j0; j < j1; ++j) {
            const float* at = q + size_t(j) * stride;
            const Floats first = load(at + c), second = load(at + d);
            for (int a = 0; a < kRows; ++a) {
              const Floats factor = spread(at[r + a]);
              sum[a][0] += factor * first;
              sum[a][1] += factor * second;
            }
          }
        } else {
          for (int j = j0; j < j1; ++j) {
            const float* at = q + size_t(j) * stride;
            const Floats first = load(at + c), second = load(at + d);
            for (int a = 0; a < rows; ++a) {
              sum[a][0] += at[r + a] * first;
              sum[a][1] += at[r + a] * second;
            }
          }
        }
        for (int a = 0; a < rows; ++a) {
          float* out = to->entry + size_t(r + a) * stride;
          store(out + c, load(out + c) + sum[a][0]);
          if (pair) store(out + d, load(out + d) + sum[a][1]);
        }
      }
    }
  }
}

JAXCPP_INLINE double sum_from(const float* row, int from, int to) {
  Doubles sum = {};
  for (int u = from; u < to; u += kDoubles) sum += widen(row + u);
  return sum_of(sum);
}

// Eliminate all nodes of a dense matrix. Entries left of the diagonal within its block become zero.
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
    constexpr int kRows = 4, kColumns = 2 * kFloats;
    if (k1 < k0 + kBlock) break;
    for (int r = k1; r < n; r += kRows) {
      const int rows = n - r < kRows ? n - r : kRows;
      for (int c = r / kFloats * kFloats; c < stride; c += kColumns) {
        const bool pair = c + kFloats < stride;
        const int d = pair ? c + kFloats : c;
        Floats sum[kRows][2] = {};
        for (int k = 0; k < kBlock; ++k) {
          const float* at = panel + size_t(k) * stride;
          const Floats first = load(at + c), second = load(at + d);
          for (int a = 0; a < kRows; ++a) {  // beyond the last row: read, not used
            const Floats factor = spread(at[r + a]);
            sum[a][0] += factor * first;
            sum[a][1] += factor * second;
          }
        }
        for (int a = 0; a < rows; ++a) {
          float* out = self->entry + size_t(r + a) * stride;
          store(out + c, load(out + c) + sum[a][0]);
          if (pair) store(out + d, load(out + d) + sum[a][1]);
        }
      }
    }
  }
}

// Zero what is not upper triangle and note who is whose neighbour; the number of edges.
inline int64_t survey(Laplacian* self) {
  const Dense& whole = self->whole;
  const int n = self->n, words = self->words;
  memset(self->joined, 0, sizeof(uint64_t) * size_t(n) * words);
  int64_t edges = 0;
  for (int r = 0; r < n; ++r) {
    float* row = whole.entry + size_t(r) * whole.stride;
    uint64_t* mine = self->joined + size_t(r) * words;
    const int from = r / kFloats * kFloats;
    for (int u = from; u <= r; ++u) row[u] = 0.0f;
    for (int u = from; u < n; u += kFloats) {
      const auto filled = load(row + u) > spread(0.0f);
      uint64_t bits = 0;
      for (int a = 0; a < kFloats; ++a) bits |= uint64_t(filled[a] & 1) << a;
      mine[u / 64] |= bits << (u % 64);
    }
    if (n % 64) mine[words - 1] &= (uint64_t(1) << (n % 64)) - 1;  // not the ground
    for (int w = r / 64; w < words; ++w) edges += __builtin_popcountll(mine[w]);
  }
  return edges;
}

// Eliminate nodes in order of degree while that is cheaper than dense code.
inline int eliminate_sparse(Laplacian* self) {
  const int n = self->n, words = self->words, stride = self->whole.stride;
  float* entry = self->whole.entry;
  for (int r = 0; r < n; ++r) {
    const uint64_t* mine = self->joined + size_t(r) * words;
    for (int w = r / 64; w < words; ++w)
      for (uint64_t bits = mine[w] & (w == r / 64 ? ~uint64_t(0) << (r % 64) : ~uint64_t(0)); bits; bits &= bits - 1) {
        const int u = 64 * w + __builtin_ctzll(bits);
        self->joined[size_t(u) * words + r / 64] |= uint64_t(1) << (r % 64);
      }
  }
  for (int r = 0; r < n; ++r) {
    int degree = 0;
    for (int w = 0; w < words; ++w) degree += __builtin_popcountll(self->joined[size_t(r) * words + w]);
    self->degree[r] = degree;
    self->left[r] = r;
  }
  int remaining = n, used = 0;
  self->pivots = 0;
  self->row[0] = 0;
  while (remaining > 0) {
    int where = 0;
    for (int a = 1; a < remaining && self->degree[self->left[where]] > 1; ++a)
      if (self->degree[self->left[a]] < self->degree[self->left[where]]) where = a;
    const int v = self->left[where], degree = self->degree[v];
    if (2 * int64_t(degree) * degree + 50 > int64_t(remaining) * remaining / 32 + 80) break;
    self->left[where] = self->left[--remaining];
    self->degree[v] = -1;
    const int first = used;
    uint64_t* mine = self->joined + size_t(v) * words;
    double pivot = entry[size_t(v) * stride + n];
    for (int w = 0; w < words; ++w)
      for (uint64_t bits = mine[w]; bits; bits &= bits - 1) {
        const int u = 64 * w + __builtin_ctzll(bits);
        const float value = u < v ? entry[size_t(u) * stride + v] : entry[size_t(v) * stride + u];
        self->neighbour[used] = u;
        self->value[used++] = value;
        pivot += value;
      }
    const double inverse = pivot > kLeastPivot ? 1.0 / pivot : 0.0;
    self->order[self->pivots] = v;
    self->inverse[self->pivots++] = inverse;
    self->row[self->pivots] = used;
    const double ground = entry[size_t(v) * stride + n];
    for (int a = first; a < used; ++a) {
      const int u = self->neighbour[a];
      const double factor = self->value[a] * inverse;
      entry[size_t(u) * stride + n] += float(factor * ground);
      for (int b = a + 1; b < used; ++b)  // neighbours ascend
        entry[size_t(u) * stride + self->neighbour[b]] += float(factor * self->value[b]);
      uint64_t* theirs = self->joined + size_t(u) * words;
      int count = 0;
      for (int w = 0; w < words; ++w) theirs[w] |= mine[w];
      theirs[u / 64] &= ~(uint64_t(1) << (u % 64));
      theirs[v / 64] &= ~(uint64_t(1) << (v % 64));
      for (int w = 0; w < words; ++w) count += __builtin_popcountll(theirs[w]);
      self->degree[u] = count;
    }
  }
  return remaining;
}

inline void factorize(Laplacian* self) {
  const int n = self->n, from_stride = self->whole.stride;
  const int64_t edges = survey(self);
  self->pivots = 0;
  int remaining = n;
  const bool sparse = 4 * edges < int64_t(n) * n;
  if (sparse) {
    remaining = eliminate_sparse(self);
  } else {
    for (int r = 0; r < n; ++r) self->kept[r] = r;
  }
  Dense* core = &self->core;
  if (!sparse) {
    core->n = n;
    core->stride = from_stride;
    core->entry = self->whole.entry;
  } else {
    core->n = 0;
    core->stride = padded_floats(remaining + 1);
    core->entry = self->apart;
    for (int r = 0; r < n; ++r)
      if (self->degree[r] >= 0) self->kept[core->n++] = r;
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

// Solve in place for one or two right-hand sides, (n) each.
inline void solve(const Laplacian& self, double* b0, double* b1) {
  for (int a = 0; a < self.pivots; ++a) {
    const double f0 = b0[self.order[a]] * self.inverse[a], f1 = b1[self.order[a]] * self.inverse[a];
    for (int e = self.row[a]; e < self.row[a + 1]; ++e) {
      b0[self.neighbour[e]] += f0 * self.value[e];
      b1[self.neighbour[e]] += f1 * self.value[e];
    }
  }
  const Dense& core = self.core;
  double *p0 = self.packed, *p1 = self.packed + core.stride;
  for (int r = 0; r < core.stride; ++r) {
    p0[r] = r < core.n ? b0[self.kept[r]] : 0.0;
    p1[r] = r < core.n ? b1[self.kept[r]] : 0.0;
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
    p0[k] = (p0[k] + sum_of(sum0)) * core.inverse[k];
    p1[k] = (p1[k] + sum_of(sum1)) * core.inverse[k];
  }
  for (int r = 0; r < core.n; ++r) {
    b0[self.kept[r]] = p0[r];
    b1[self.kept[r]] = p1[r];
  }
  for (int a = self.pivots - 1; a >= 0; --a) {
    double x0 = b0[self.order[a]], x1 = b1[self.order[a]];
    for (int e = self.row[a]; e < self.row[a + 1]; ++e) {
      x0 += self.value[e] * b0[self.neighbour[e]];
      x1 += self.value[e] * b1[self.neighbour[e]];
    }
    b0[self.order[a]] = x0 * self.inverse[a];
    b1[self.order[a]] = x1 * self.inverse[a];
  }
}

}  // namespace
