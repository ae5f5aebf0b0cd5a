// Many problems of one shape, shared out over threads.
#pragma once

#include <stdint.h>

#include "core.h"

namespace jaxcpp {

// A side of every problem: the arrays of `SideView` with one more dimension in front. `lost` and
// `unit_margin` may be null.
struct Sides {
  const double *cost = nullptr, *time = nullptr, *mass = nullptr, *outside = nullptr, *stock = nullptr;
  const double *lost = nullptr, *unit_margin = nullptr;
  const bool* open = nullptr;
  int64_t columns = 0, weeks = 1;
};

struct Batch {
  int64_t problems = 0, nodes = 0;
  Sides retailer, supplier;
  const double *plan = nullptr, *start = nullptr, *epsilon = nullptr, *strict = nullptr, *tolerance = nullptr;
  const int32_t* max_rounds = nullptr;
  double *price = nullptr, *out_epsilon = nullptr, *gap = nullptr;
  double *proposal = nullptr, *taken = nullptr, *shipped = nullptr;  // null where not wanted; see `Result`
  int32_t* rounds = nullptr;
  bool* done = nullptr;
  bool joined = false;  // as in `Problem`
};

// A question to every side of a batch: the arrays of `Question` and `Reply` with one more dimension in front.
struct Questions {
  int64_t problems = 0, nodes = 0;
  Sides side;
  const double *price = nullptr, *proposal = nullptr, *start = nullptr;
  const double *rho = nullptr, *epsilon = nullptr, *accuracy = nullptr;
  const int32_t* max_rounds = nullptr;
  double *plan = nullptr, *behind = nullptr;
  int32_t* rounds = nullptr;
};

// The protocol of every pair of a batch: the arrays of `Talk` with one more dimension in front.
struct Talks {
  int64_t problems = 0, nodes = 0;
  Sides retailer, supplier;
  const double *begun = nullptr, *begun_slopes = nullptr, *last_epsilon = nullptr;
  const int32_t* rounds = nullptr;
  double *numbers = nullptr, *slopes = nullptr;
};

// Solve them all on `threads` threads, or where that is 0 on as many as the process may use; never
// more than the environment variable JAXCPP_KERNEL_THREADS says. What comes out does not depend on
// the number of threads, nor for one problem on the others. False: no memory, nothing is written.
bool solve(const Batch& batch, int64_t threads);

// Answer them all, likewise.
bool respond(const Questions& batch, int64_t threads);

// Play their rounds, likewise.
bool play(const Talks& batch, int64_t threads);

// The instruction set in use: 1, 3 or 4, as in x86-64-v1, -v3, -v4; 1 on other processors.
int instruction_set();

}  // namespace jaxcpp
