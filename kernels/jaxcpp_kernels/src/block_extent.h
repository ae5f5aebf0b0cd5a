// How large the problems of a batch are, and how blocks share them out.
#pragma once

#include "block_contract.h"

namespace {

// How many nodes each thread of a warp looks after, outside option included, where they are few
// enough for its registers; else 0.
inline int nodes_per_lane(int64_t nodes) {
  const int64_t padded = (nodes + kEdge) / kEdge * kEdge;
  for (int per = 1; per <= 8; per *= 2)
    if (padded <= int64_t(per) * kLanes) return per;
  return 0;
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
  return measure(batch.retailer, batch.nodes, 0, extent) && measure(batch.supplier, batch.nodes, 1, extent);
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
