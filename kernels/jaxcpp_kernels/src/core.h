// One contract's price path: what goes in, what comes out. Plain data, shared by every copy of the core.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace jaxcpp {

// A side of the contract (jaxcpp/transport/side.py) as JAX lays it out, row-major. Public node `i`
// is place `i / weeks` in week `i % weeks`; a unit between it and private node `j` costs
// `cost[place, j] + time[week, j]`. With one week, `cost` is the whole matrix.
struct SideView {
  const double* cost = nullptr;     // (places, columns); inf = missing lane
  const double* time = nullptr;     // (weeks, columns), or null = zeros; inf = missing lane
  const bool* open = nullptr;       // (places * weeks), or null = all; a closed node has no lane
  const double* mass = nullptr;     // (columns)
  const double* outside = nullptr;  // (columns)
  const double* stock = nullptr;    // (places * weeks), or null = zeros
  const double* lost = nullptr;     // (columns), or null = zeros: the lost margin
  double unit_margin = 0.0;
  int64_t columns = 0;
  int64_t weeks = 1;
};

// A problem: two sides that must agree on a plan, or, where there is a `plan`, one side that lives with it.
struct Problem {
  int64_t nodes = 0;
  SideView retailer, supplier;
  const double* plan = nullptr;   // (nodes); no supplier where it is given
  const double* start = nullptr;  // (nodes) price to begin at
  double epsilon = 0.0;           // smoothing to begin at
  double strict = 1.0;            // target as a fraction of the tolerance
  double tolerance = 0.0;
  int64_t max_rounds = 0;
  bool joined = false;  // does the retailer's side stand for both, its stock being the other's capacity
};

struct Result {
  double* price = nullptr;  // (nodes)
  // Where they are wanted (not null): the retailer's proposal at that price, (nodes), and flows that ship
  // it, (nodes, columns), as far as both sides can: of the retailer, and of the supplier if there is one.
  double *proposal = nullptr, *taken = nullptr, *shipped = nullptr;
  double epsilon = 0.0;     // smoothing at which `price` was accepted
  double gap = 0.0;         // last estimate of the certified gap
  int32_t rounds = 0;
  bool done = false;
};

// What a side is asked: its best plan `x`, least in `cost(x) + price x + rho/2 |x - proposal|^2`.
struct Question {
  int64_t nodes = 0;
  SideView side;
  const double *price = nullptr, *proposal = nullptr;  // (nodes)
  const double* start = nullptr;                       // (nodes) price behind an answer like it
  double rho = 0.0, epsilon = 0.0;
  double accuracy = 0.0;  // units that the plan may be off, all nodes together
  int64_t max_rounds = 0;
};

struct Reply {
  double *plan = nullptr, *price = nullptr;  // (nodes), the price behind the plan
  int32_t rounds = 0;
  bool done = false;
};

// Where the protocol for black boxes stands between two sides: `numbers` holds, one after the other, the vectors
// proposal, price, the retailer's plan, proposal and price where the last stage was left, what the retailer was
// last asked and answered, the supplier likewise, and the prices behind both answers; then rho, epsilon, residual,
// the last stage's epsilon, whether each side's last answer counts, evaluations of both so far, and rounds of this
// stage.
constexpr int kTalkRows = 11, kTalkScalars = 9;
constexpr int64_t talk_length(int64_t nodes) { return kTalkRows * nodes + kTalkScalars; }

struct Talk {
  SideView retailer, supplier;
  const double *begun = nullptr, *begun_slopes = nullptr;  // (talk_length), (2, nodes, nodes)
  double last_epsilon = 0.0;
  int64_t nodes = 0, rounds = 0;
  double *numbers = nullptr, *slopes = nullptr;  // the same some rounds on
};

// Bytes of scratch memory that one problem of these shapes needs, or 0 where it is beyond all bounds.
size_t scratch_bytes(int64_t nodes, int64_t retailer_columns, int64_t supplier_columns);

// Likewise, one question.
size_t scratch_bytes(int64_t nodes, int64_t columns);

// Likewise, rounds between two sides.
size_t rounds_scratch_bytes(int64_t nodes, int64_t retailer_columns, int64_t supplier_columns);

// Follow one path, answer one question, or play some rounds. Reads and writes nothing but its arguments; never
// fails: what cannot be solved comes back with `done` false. One copy for each instruction set.
typedef void FollowPath(const Problem&, void* scratch, Result*);
FollowPath follow_path_v1, follow_path_v3, follow_path_v4;
typedef void RespondTo(const Question&, void* scratch, Reply*);
RespondTo respond_to_v1, respond_to_v3, respond_to_v4;
typedef void PlayRounds(const Talk&, void* scratch);
PlayRounds play_rounds_v1, play_rounds_v3, play_rounds_v4;

}  // namespace jaxcpp
