// How large the problems of a batch are, and how blocks share them out.
#pragma once

#include "block_contract.h"

namespace jaxcpp {

// Which contracts of a batch a pass is for: all, or those with the right mark.
struct Which {
  const unsigned char* mark;
  bool wanted;

  JAXCPP_DEVICE bool skips(int64_t index) const { return mark && (mark[index] != 0) != wanted; }
};

}  // namespace jaxcpp

namespace {

using jaxcpp::Which;

constexpr int kFewNodes = 16;  // fewer keep one warp busy, and no more

// How a warp looks at a column: so many nodes to each of its threads, outside option included, or none where they
// are too many for registers; and so many columns at once.
struct Reach {
  int per, split;
};

inline Reach reach_of(int nodes) {
  const int padded = (nodes + kEdge) / kEdge * kEdge;
  for (int split = 4; split > 1; split /= 2)
    if (padded * split <= kLanes) return {1, split};
  for (int per = 1; per <= 8; per *= 2)
    if (padded <= per * kLanes) return {per, 1};
  return {0, 1};
}

// Of one side of a batch; false where it is beyond all bounds.
inline bool measure(const Sides& sides, int64_t nodes, int which, Extent* extent) {
  constexpr int64_t kMost = int64_t(1) << 28;  // lanes and tiles are counted in 32 bits
  if (sides.columns > kMost || sides.weeks >= kMostWeeks) return false;
  if ((sides.columns + 1) * (nodes + 1) > kMost) return false;
  extent->columns[which] = int(sides.columns);
  extent->weeks[which] = int(sides.weeks);
  extent->places[which] = int(nodes / sides.weeks);
  return true;
}

inline bool countable(int64_t problems, int64_t nodes) {
  return problems < int64_t(1) << 31 && nodes < kMostPlaces / 2;
}

// The extent of a batch; false where it is beyond all bounds.
inline bool measure(const Batch& batch, Extent* extent) {
  if (!countable(batch.problems, batch.nodes)) return false;
  *extent = Extent();
  extent->nodes = int(batch.nodes);
  return measure(batch.retailer, batch.nodes, 0, extent) && measure(batch.supplier, batch.nodes, 1, extent);
}

inline bool measure(const Questions& batch, Extent* extent) {
  if (!countable(batch.problems, batch.nodes)) return false;
  *extent = Extent();
  extent->nodes = int(batch.nodes);
  extent->columns[1] = 0;
  extent->weeks[1] = extent->places[1] = 1;
  return measure(batch.side, batch.nodes, 0, extent);
}

// Work on what the queue gives until it is empty: a slow contract holds up nobody but its block.
template <typename One>
JAXCPP_BLOCK void work_off(Block& block, int64_t problems, uint32_t* queue, One one) {
  for (;;) {
    const int64_t index = block.next(queue);
    if (index >= problems) return;
    one(index);
  }
}

}  // namespace
