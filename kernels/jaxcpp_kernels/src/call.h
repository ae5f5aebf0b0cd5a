// A call of XLA's: shapes are checked here, once, and nothing behind checks again. For all platforms.
#pragma once

#include "batch.h"
#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = xla::ffi;
using jaxcpp::Batch;
using jaxcpp::Sides;

using Real = ffi::Buffer<ffi::F64>;
using Flag = ffi::Buffer<ffi::PRED>;
using Whole = ffi::Buffer<ffi::S32>;

// The last `count` dimensions of a buffer and the product of those before.
struct Shape {
  int64_t batch = 1;
  int64_t last[2] = {1, 1};
  bool enough = true;

  template <typename Buffer>
  Shape(const Buffer& buffer, int count) {
    const auto sizes = buffer.dimensions();
    const int rank = static_cast<int>(sizes.size());
    enough = rank >= count;
    for (int d = 0; d < rank; ++d) {
      if (d < rank - count)
        batch *= sizes[d];
      else
        last[d - (rank - count)] = sizes[d];
    }
  }
};

class Check {
 public:
  // Every array agrees on the number of problems, the first to be seen sets it.
  template <typename Buffer>
  Shape of(const Buffer& buffer, int count) {
    const Shape shape(buffer, count);
    if (problems_ < 0) problems_ = shape.batch;
    good_ = good_ && shape.enough && shape.batch == problems_;
    return shape;
  }

  template <typename Buffer>
  void vector(const Buffer& buffer, int64_t length) {
    good_ = of(buffer, 1).last[0] == length && good_;
  }

  template <typename Buffer>
  void fits(const Buffer& buffer, int64_t rows, int64_t columns) {
    const Shape shape = of(buffer, 2);
    good_ = good_ && shape.last[0] == rows && shape.last[1] == columns;
  }

  template <typename Buffer>
  void scalar(const Buffer& buffer) {
    of(buffer, 0);
  }

  void require(bool truth) { good_ = good_ && truth; }
  bool good() const { return good_; }
  int64_t problems() const { return problems_; }

 private:
  bool good_ = true;
  int64_t problems_ = -1;
};

Sides sides(const Real& cost, const Real& time, const Flag& open, const Real& mass, const Real& outside,
            const Real& stock, const Real& lost, const Real& unit_margin, int64_t nodes, Check* check) {
  const Shape lanes = check->of(cost, 2), weeks = check->of(time, 2);
  Sides out;
  out.columns = lanes.last[1];
  out.weeks = weeks.last[0];
  check->require(out.weeks >= 1 && lanes.last[0] * out.weeks == nodes && weeks.last[1] == out.columns);
  check->vector(open, nodes);
  check->vector(mass, out.columns);
  check->vector(outside, out.columns);
  check->vector(stock, nodes);
  check->vector(lost, out.columns);
  check->scalar(unit_margin);
  out.cost = cost.typed_data();
  out.time = time.typed_data();
  out.open = open.typed_data();
  out.mass = mass.typed_data();
  out.outside = outside.typed_data();
  out.stock = stock.typed_data();
  out.lost = lost.typed_data();
  out.unit_margin = unit_margin.typed_data();
  return out;
}

// What every platform's door is given, in this order.
struct Call {
  Real cost, time;  // the retailer
  Flag open;
  Real mass, outside, stock, lost, unit_margin;
  Real their_cost, their_time;  // the supplier
  Flag their_open;
  Real their_mass, their_outside, their_stock, their_lost, their_unit_margin;
  Real plan, start, epsilon, strict, tolerance;
  Whole max_rounds;
  ffi::Result<Real> price, out_epsilon, gap;
  ffi::Result<Whole> rounds;
  ffi::Result<Flag> done;
  ffi::Result<Real> proposal, taken, shipped;  // of no length where not wanted

  // A plan of no length: there is none, and the two sides agree on one.
  bool fits(Batch* batch) {
    Check check;
    batch->nodes = check.of(start, 1).last[0];
    batch->problems = check.problems();
    batch->retailer = sides(cost, time, open, mass, outside, stock, lost, unit_margin, batch->nodes, &check);
    batch->supplier = sides(their_cost, their_time, their_open, their_mass, their_outside, their_stock, their_lost,
                            their_unit_margin, batch->nodes, &check);
    const int64_t planned = check.of(plan, 1).last[0];
    check.require(planned == 0 || planned == batch->nodes);
    for (const Real* each : {&epsilon, &strict, &tolerance}) check.scalar(*each);
    check.scalar(max_rounds);
    check.vector(*price, batch->nodes);
    check.scalar(*out_epsilon);
    check.scalar(*gap);
    check.scalar(*rounds);
    check.scalar(*done);
    const bool flows = check.of(*taken, 2).last[0] == batch->nodes && batch->nodes > 0;
    check.fits(*taken, flows ? batch->nodes : 0, flows ? batch->retailer.columns : 0);
    check.fits(*shipped, flows ? batch->nodes : 0, flows ? batch->supplier.columns : 0);
    check.vector(*proposal, flows && planned == 0 ? batch->nodes : 0);
    if (!check.good()) return false;
    batch->plan = planned > 0 ? plan.typed_data() : nullptr;
    batch->start = start.typed_data();
    batch->epsilon = epsilon.typed_data();
    batch->strict = strict.typed_data();
    batch->tolerance = tolerance.typed_data();
    batch->max_rounds = max_rounds.typed_data();
    batch->price = price->typed_data();
    batch->out_epsilon = out_epsilon->typed_data();
    batch->gap = gap->typed_data();
    batch->rounds = rounds->typed_data();
    batch->done = done->typed_data();
    if (!flows) return true;
    batch->proposal = planned == 0 ? proposal->typed_data() : nullptr;
    batch->taken = taken->typed_data();
    batch->shipped = shipped->typed_data();
    return true;
  }
};

inline ffi::Error misfit() {
  return ffi::Error::InvalidArgument("jaxcpp_kernels: the shapes of a call do not fit together");
}

inline ffi::Error no_memory() {
  return ffi::Error(ffi::ErrorCode::kResourceExhausted, "jaxcpp_kernels: no scratch memory for a problem this large");
}

// `binding` and the arrays of a call.
template <typename Binding>
auto with_arrays(Binding binding) {
  return std::move(binding)
      .template Arg<Real>()  // the retailer
      .template Arg<Real>()
      .template Arg<Flag>()
      .template Arg<Real>()
      .template Arg<Real>()
      .template Arg<Real>()
      .template Arg<Real>()
      .template Arg<Real>()
      .template Arg<Real>()  // the supplier
      .template Arg<Real>()
      .template Arg<Flag>()
      .template Arg<Real>()
      .template Arg<Real>()
      .template Arg<Real>()
      .template Arg<Real>()
      .template Arg<Real>()
      .template Arg<Real>()  // plan, start
      .template Arg<Real>()
      .template Arg<Real>()  // epsilon, strict, tolerance, max_rounds
      .template Arg<Real>()
      .template Arg<Real>()
      .template Arg<Whole>()
      .template Ret<Real>()  // price, epsilon, gap, rounds, done
      .template Ret<Real>()
      .template Ret<Real>()
      .template Ret<Whole>()
      .template Ret<Flag>()
      .template Ret<Real>()  // proposal, taken, shipped
      .template Ret<Real>()
      .template Ret<Real>()
      .template Attr<int64_t>("threads");
}

}  // namespace

// The arguments of a door after its context, and the call they make.
#define JAXCPP_CALL_ARGUMENTS                                                                                 \
  Real cost, Real time, Flag open, Real mass, Real outside, Real stock, Real lost, Real unit_margin,         \
      Real their_cost, Real their_time, Flag their_open, Real their_mass, Real their_outside,                \
      Real their_stock, Real their_lost, Real their_unit_margin, Real plan, Real start, Real epsilon,        \
      Real strict, Real tolerance, Whole max_rounds, ffi::Result<Real> price, ffi::Result<Real> out_epsilon, \
      ffi::Result<Real> gap, ffi::Result<Whole> rounds, ffi::Result<Flag> done,         \
      ffi::Result<Real> proposal, ffi::Result<Real> taken, ffi::Result<Real> shipped, int64_t threads
#define JAXCPP_CALL                                                                                            \
  Call {                                                                                                       \
    cost, time, open, mass, outside, stock, lost, unit_margin, their_cost, their_time, their_open, their_mass, \
        their_outside, their_stock, their_lost, their_unit_margin, plan, start, epsilon, strict, tolerance,    \
        max_rounds, price, out_epsilon, gap, rounds, done, proposal, taken, shipped                            \
  }
