// The core, compiled once for each instruction set with JAXCPP_FOLLOW naming the copy.
#include "path.h"

namespace jaxcpp {

void JAXCPP_FOLLOW(const Problem& problem, const Recipe& recipe, void* scratch, Result* result) {
  Path path;
  Arena arena{static_cast<char*>(scratch), 0};
  lay_out(&path, &arena, problem.nodes, problem.retailer.columns, problem.supplier.columns);
  follow_one(problem, recipe, &path, result);
}

#ifdef JAXCPP_COUNTS_SCRATCH
size_t scratch_bytes(int64_t nodes, int64_t retailer_columns, int64_t supplier_columns) {
  constexpr int64_t kMost = int64_t(1) << 22;
  if (nodes < 0 || retailer_columns < 0 || supplier_columns < 0) return 0;
  if (nodes > kMost || retailer_columns > kMost || supplier_columns > kMost) return 0;
  Path path;
  Arena arena{nullptr, 0};
  lay_out(&path, &arena, nodes, retailer_columns, supplier_columns);
  return arena.used + kAlign;
}
#endif

}  // namespace jaxcpp
