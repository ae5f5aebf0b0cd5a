// How large the problems of a batch are, and how blocks share them out.
#pragma once

#include "block_contract.h"

namespace {

// Which contracts of a batch a pass is for: those that need little memory because they are joined, and after them
// those that are left.
enum Pass { kEveryone, kSmaller, kLeft };

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
  extent->nodes = int(batch.nodes);
  extent->flows = batch.taken != nullptr;
  extent->everywhere = extent->flows && !batch.plan ? extent->nodes : 0;
  return measure(batch.retailer, batch.nodes, 0, extent) && measure(batch.supplier, batch.nodes, 1, extent);
}

// What its contracts need that are joined without stock; false where that is no less.
inline bool measure_joined(const Batch& batch, Extent* extent) {
  if (!measure(batch, extent) || !extent->everywhere || extent->columns[1] >= extent->nodes) return false;
  extent->nodes = extent->places[0] = extent->columns[1];
  extent->places[1] = 0;
  extent->weeks[0] = extent->weeks[1] = 1;
  return extent->nodes > 0;
}

inline bool measure(const Questions& batch, Extent* extent) {
  if (!countable(batch.problems, batch.nodes)) return false;
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
