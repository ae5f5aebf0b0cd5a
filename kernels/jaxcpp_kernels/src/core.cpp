// The core, compiled once for each instruction set with JAXCPP_LEVEL naming the copy.
#include "path.h"
#include "rounds.h"

#define JAXCPP_JOIN(a, b) a##b
#define JAXCPP_NAME(name, level) JAXCPP_JOIN(name, level)

namespace jaxcpp {

void JAXCPP_NAME(follow_path_, JAXCPP_LEVEL)(const Problem& problem, void* scratch, Result* result) {
  Path path;
  Arena arena{static_cast<char*>(scratch), 0};
  lay_out(&path, &arena, problem.nodes, problem.retailer.columns, problem.supplier.columns);
  follow_one(problem, &path, result);
}

void JAXCPP_NAME(respond_to_, JAXCPP_LEVEL)(const Question& question, void* scratch, Reply* reply) {
  Proximal proximal;
  Arena arena{static_cast<char*>(scratch), 0};
  lay_out(&proximal, &arena, question.nodes, question.side.columns);
  respond_one(question, &proximal, reply);
}

void JAXCPP_NAME(play_rounds_, JAXCPP_LEVEL)(const Talk& talk, void* scratch) {
  Rounds rounds;
  Arena arena{static_cast<char*>(scratch), 0};
  lay_out(&rounds, &arena, talk.nodes, talk.retailer.columns, talk.supplier.columns);
  talk_one(talk, &rounds);
}

#ifdef JAXCPP_COUNTS_SCRATCH
namespace {

bool countable(int64_t nodes, int64_t columns) {
  constexpr int64_t kMost = int64_t(1) << 30;  // lanes are counted in 32 bits
  if (nodes > kMost / 64 || columns > kMost / 64 || (nodes + 64) * (columns + 64) > kMost) return false;
  return (nodes + 64) * (nodes + 64) <= kMost;
}

}  // namespace

size_t scratch_bytes(int64_t nodes, int64_t columns) {
  if (!countable(nodes, columns)) return 0;
  Proximal proximal;
  Arena arena{nullptr, 0};
  lay_out(&proximal, &arena, nodes, columns);
  return arena.used + kAlign;
}

size_t rounds_scratch_bytes(int64_t nodes, int64_t retailer_columns, int64_t supplier_columns) {
  if (!countable(nodes, retailer_columns) || !countable(nodes, supplier_columns)) return 0;
  Rounds rounds;
  Arena arena{nullptr, 0};
  lay_out(&rounds, &arena, nodes, retailer_columns, supplier_columns);
  return arena.used + kAlign;
}

size_t scratch_bytes(int64_t nodes, int64_t retailer_columns, int64_t supplier_columns) {
  if (!countable(nodes, supplier_columns) || !countable(nodes + supplier_columns, retailer_columns)) return 0;
  Path path;
  Arena arena{nullptr, 0};
  lay_out(&path, &arena, nodes, retailer_columns, supplier_columns);
  return arena.used + kAlign;
}
#endif

}  // namespace jaxcpp
