// Random problems, sound ones and garbage, through the kernels' core: built with sanitizers by
// test_sanitizers.py. Usage: driver SEED PROBLEMS. Status 1 where a promise is broken.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "batch.h"

namespace {

using Numbers = std::vector<double>;
using Random = std::mt19937_64;

constexpr double kGarbage[] = {0.0,
                               -0.0,
                               -1.0,
                               1e-310,
                               1e-300,
                               1e-30,
                               1e30,
                               1e300,
                               std::numeric_limits<double>::max(),
                               std::numeric_limits<double>::infinity(),
                               -std::numeric_limits<double>::infinity(),
                               std::numeric_limits<double>::quiet_NaN()};

double uniform(Random& random, double low, double high) {
  return std::uniform_real_distribution<double>(low, high)(random);
}

int64_t whole(Random& random, int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(random);
}

bool chance(Random& random, double odds) { return uniform(random, 0.0, 1.0) < odds; }

// What a batch of one shape is made of; `spoiled` is the share of its numbers that are garbage.
struct Kind {
  int64_t problems, places, weeks, columns, sources;
  bool ties, holes, zeros, stock, living;
  double spoiled;
};

Numbers filled(Random& random, const Kind& kind, int64_t count, double low, double high) {
  Numbers out(count);
  for (double& each : out) {
    each = kind.ties ? std::round(uniform(random, low, high)) : uniform(random, low, high);
    if (chance(random, kind.spoiled)) each = kGarbage[whole(random, 0, std::size(kGarbage) - 1)];
  }
  return out;
}

struct Memory {
  Numbers cost, time, mass, outside, stock, lost, unit_margin;
  std::unique_ptr<bool[]> open;
};

jaxcpp::Sides side(Random& random, const Kind& kind, int64_t columns, Memory* memory) {
  const int64_t batch = kind.problems, nodes = kind.places * kind.weeks;
  memory->cost = filled(random, kind, batch * kind.places * columns, 0.3, 2.0);
  memory->time = filled(random, kind, batch * kind.weeks * columns, 0.0, 0.5);
  memory->mass = filled(random, kind, batch * columns, 0.0, 2.0);
  memory->outside = filled(random, kind, batch * columns, 0.0, 5.0);
  memory->lost = filled(random, kind, batch * columns, 0.0, 1.0);
  memory->stock = filled(random, kind, batch * nodes, 0.0, 0.2);
  memory->unit_margin = filled(random, kind, batch, 0.0, 1.0);
  memory->open.reset(new bool[batch * nodes]);
  for (int64_t i = 0; i < batch * nodes; ++i) {
    memory->open[i] = !kind.holes || chance(random, 0.8);
    if (!kind.stock) memory->stock[i] = 0.0;
  }
  for (double& each : memory->cost)
    if (kind.holes && chance(random, 0.4)) each = std::numeric_limits<double>::infinity();
  for (double& each : memory->mass)
    if (kind.zeros && chance(random, 0.5)) each = 0.0;
  jaxcpp::Sides out;
  out.cost = memory->cost.data();
  out.time = memory->time.data();
  out.mass = memory->mass.data();
  out.outside = memory->outside.data();
  out.stock = memory->stock.data();
  out.lost = memory->lost.data();
  out.unit_margin = memory->unit_margin.data();
  out.open = memory->open.get();
  out.columns = columns;
  out.weeks = kind.weeks;
  return out;
}

Kind random_kind(Random& random) {
  Kind kind;
  const bool wide = chance(random, 0.2);
  kind.problems = whole(random, 1, 6);
  kind.weeks = whole(random, 1, 3);
  kind.places = whole(random, 1, wide ? 40 : 9);
  kind.columns = whole(random, 1, wide ? 60 : 9);
  kind.sources = whole(random, 1, wide ? 20 : 5);
  kind.ties = chance(random, 0.3);
  kind.holes = chance(random, 0.4);
  kind.zeros = chance(random, 0.4);
  kind.stock = chance(random, 0.3);
  kind.living = chance(random, 0.3);
  const double shares[] = {0.0, 0.0, 1e-3, 0.03, 0.5};
  kind.spoiled = shares[whole(random, 0, 4)];
  return kind;
}

// Ask the same sides of a batch for their plans near a proposal; false where a promise is broken.
bool ask(Random& random, const Kind& kind, const jaxcpp::Sides& side, int64_t* rounds) {
  const int64_t count = kind.problems, nodes = kind.places * kind.weeks;
  const Numbers price = filled(random, kind, count * nodes, -1.0, 1.0);
  const Numbers start = filled(random, kind, count * nodes, -1.0, 1.0);
  const Numbers proposal = filled(random, kind, count * nodes, 0.0, 0.5);
  Kind untied = kind;  // rounded to nothing, neither means anything
  untied.ties = false;
  const Numbers rho = filled(random, untied, count, 0.1, 40.0), epsilon = filled(random, untied, count, 1e-4, 0.1);
  Numbers accuracy(count), plan(count * nodes), behind(count * nodes);
  std::vector<int32_t> limit(count), used(count);
  for (int64_t b = 0; b < count; ++b) {
    accuracy[b] = std::pow(10.0, uniform(random, -12.0, -2.0));
    limit[b] = int32_t(whole(random, -1, 60));
  }
  jaxcpp::Questions batch;
  batch.problems = count;
  batch.nodes = nodes;
  batch.side = side;
  batch.price = price.data();
  batch.proposal = proposal.data();
  batch.start = start.data();
  batch.rho = rho.data();
  batch.epsilon = epsilon.data();
  batch.accuracy = accuracy.data();
  batch.max_rounds = limit.data();
  batch.plan = plan.data();
  batch.behind = behind.data();
  batch.rounds = used.data();
  if (!jaxcpp::respond(batch, 3)) return false;
  for (const double each : plan)
    if (kind.spoiled == 0.0 && !(each >= 0.0)) return false;
  for (int64_t b = 0; b < count; ++b) {
    *rounds += used[b];
    if (used[b] < 0 || used[b] > std::max(limit[b], 0)) return false;
  }
  return true;
}

// Let both sides of a batch play rounds; false where a promise is broken.
bool play(Random& random, const Kind& kind, const jaxcpp::Sides& ours, const jaxcpp::Sides& theirs, int64_t* rounds) {
#ifdef JAXCPP_BLOCK_THREADS
  return true;  // rounds are played on the processor only
#else
  const int64_t count = kind.problems, nodes = kind.places * kind.weeks, length = jaxcpp::talk_length(nodes);
  Numbers begun = filled(random, kind, count * length, 0.0, 1.0);
  const Numbers slopes = filled(random, kind, count * 2 * nodes * nodes, -0.5, 0.5);
  const Numbers last = filled(random, kind, count, 1e-5, 1e-3);
  Kind untied = kind;  // rounded to nothing, neither means anything
  untied.ties = false;
  const Numbers rho = filled(random, untied, count, 0.1, 40.0), epsilon = filled(random, untied, count, 1e-4, 0.1);
  std::vector<int32_t> limit(count);
  for (int64_t b = 0; b < count; ++b) {
    double* scalars = begun.data() + b * length + jaxcpp::kTalkRows * nodes;
    scalars[0] = rho[b];
    scalars[1] = epsilon[b];
    limit[b] = int32_t(whole(random, -1, 25));
  }
  Numbers numbers(count * length), learned(count * 2 * nodes * nodes);
  jaxcpp::Talks batch;
  batch.problems = count;
  batch.nodes = nodes;
  batch.retailer = ours;
  batch.supplier = theirs;
  batch.begun = begun.data();
  batch.begun_slopes = slopes.data();
  batch.last_epsilon = last.data();
  batch.rounds = limit.data();
  batch.numbers = numbers.data();
  batch.slopes = learned.data();
  if (!jaxcpp::play(batch, 3)) return false;
  for (int64_t b = 0; b < count; ++b) {
    *rounds += std::max(limit[b], 0);
    for (int64_t i = 0; i < 3 * nodes; ++i)  // proposal, price, plan
      if (kind.spoiled == 0.0 && !std::isfinite(numbers[b * length + i])) return false;
  }
  return true;
#endif
}

// Solve one batch; false where what comes out breaks a promise.
bool run(Random& random, int64_t* rounds) {
  const Kind kind = random_kind(random);
  const int64_t count = kind.problems, nodes = kind.places * kind.weeks;
  Memory ours, theirs;
  jaxcpp::Batch batch;
  batch.problems = count;
  batch.nodes = nodes;
  batch.retailer = side(random, kind, kind.columns, &ours);
  batch.supplier = side(random, kind, kind.living ? 0 : kind.sources, &theirs);
  const Numbers plan = filled(random, kind, count * nodes, 0.0, 1.0);
  const Numbers start = filled(random, kind, count * nodes, -1.0, 1.0);
  const Numbers epsilon = filled(random, kind, count, 0.01, 0.3);
  const Numbers strict = filled(random, kind, count, 0.1, 1.0);
  Numbers tolerance(count);
  std::vector<int32_t> limit(count);
  for (int64_t b = 0; b < count; ++b) {
    tolerance[b] = std::pow(10.0, uniform(random, -12.0, -1.0));
    limit[b] = int32_t(whole(random, -1, 120));
  }
  Numbers price(count * nodes), last(count), gap(count);
  std::vector<int32_t> used(count);
  const std::unique_ptr<bool[]> done(new bool[count]);
  if (kind.living) batch.plan = plan.data();
  batch.start = start.data();
  batch.epsilon = epsilon.data();
  batch.strict = strict.data();
  batch.tolerance = tolerance.data();
  batch.max_rounds = limit.data();
  batch.price = price.data();
  batch.out_epsilon = last.data();
  batch.gap = gap.data();
  batch.rounds = used.data();
  batch.done = done.get();
  Numbers proposal(count * nodes), taken(count * nodes * kind.columns), shipped(count * nodes * kind.sources);
  if (chance(random, 0.7)) {
    if (!kind.living) batch.proposal = proposal.data();
    batch.taken = taken.data();
    batch.shipped = shipped.data();
  }
  if (!jaxcpp::solve(batch, 3)) return false;
  if (chance(random, 0.5) && !ask(random, kind, batch.retailer, rounds)) return false;
  if (!kind.living && chance(random, 0.3) && !play(random, kind, batch.retailer, batch.supplier, rounds)) return false;
  for (const double each : taken)
    if (kind.spoiled == 0.0 && !(each >= 0.0)) return false;
  for (int64_t b = 0; b < count; ++b) {
    *rounds += used[b];
    if (used[b] < 0 || used[b] > std::max(limit[b], 0)) return false;
    for (int64_t i = 0; i < nodes; ++i) {
      const bool kept = std::isfinite(price[b * nodes + i]) || !std::isfinite(start[b * nodes + i]);
      if (!kept) return false;
    }
  }
  return true;
}

}  // namespace

int main(int count, char** words) {
  if (count != 3) return 2;
  Random random(std::strtoull(words[1], nullptr, 10));
  const long batches = std::strtol(words[2], nullptr, 10);
  int64_t rounds = 0;
  for (long b = 0; b < batches; ++b) {
    if (!run(random, &rounds)) {
      std::printf("batch %ld broke a promise\n", b);
      return 1;
    }
  }
  std::printf("%ld batches, %lld rounds, x86-64-v%d\n", batches, static_cast<long long>(rounds),
              jaxcpp::instruction_set());
  return rounds > 0 ? 0 : 1;
}
