// The core, compiled once for each instruction set with JAXCPP_LEVEL naming the copy.
#include "path.h"

#define JAXCPP_JOIN(a, b) a##b
#define JAXCPP_NAME(level) JAXCPP_JOIN(follow_path_, level)

namespace jaxcpp {

void JAXCPP_NAME(JAXCPP_LEVEL)(const Problem& problem, void* scratch, Result* result) {
  Path path;
  Arena arena{static_cast<char*>(scratch), 0};
  lay_out(&path, &arena, problem.nodes, problem.retailer.columns, problem.supplier.columns);
  follow_one(problem, &path, result);
}

#ifdef JAXCPP_COUNTS_SCRATCH
size_t scratch_bytes(int64_t nodes, int64_t retailer_columns, int64_t supplier_columns) {
  constexpr int64_t kMost = int64_t(1) << 30;  // lanes are counted in 32 bits
  const int64_t columns = retailer_columns > supplier_columns ? retailer_columns : supplier_columns;
  if (nodes > kMost / 64 || columns > kMost / 64 || (nodes + 64) * (columns + 64) > kMost) return 0;
  if ((nodes + 64) * (nodes + 64) > kMost) return 0;
  Path path;
  Arena arena{nullptr, 0};
  lay_out(&path, &arena, nodes, retailer_columns, supplier_columns);
  return arena.used + kAlign;
}
#endif

}  // namespace jaxcpp
