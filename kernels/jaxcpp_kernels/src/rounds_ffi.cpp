// The CPU's door to XLA for rounds between two sides.
#include "call.h"

namespace {

jaxcpp::Sides plain_side(const Real& cost, const Real& mass, const Real& outside, const Real& stock, int64_t nodes,
                         Check* check) {
  const Shape lanes = check->of(cost, 2);
  jaxcpp::Sides side;
  side.columns = lanes.last[1];
  check->require(lanes.last[0] == nodes);
  for (const Real* each : {&mass, &outside}) check->vector(*each, side.columns);
  check->vector(stock, nodes);
  side.cost = cost.typed_data();
  side.mass = mass.typed_data();
  side.outside = outside.typed_data();
  side.stock = stock.typed_data();
  return side;
}

ffi::Error Play(Real cost, Real mass, Real outside, Real stock, Real their_cost, Real their_mass, Real their_outside,
                Real their_stock, Real begun, Real begun_slopes, Real last_epsilon, Whole rounds,
                ffi::Result<Real> numbers, ffi::Result<Real> slopes, int64_t threads) {
  jaxcpp::Talks batch;
  Check check;
  batch.nodes = check.of(cost, 2).last[0];
  batch.problems = check.problems();
  batch.retailer = plain_side(cost, mass, outside, stock, batch.nodes, &check);
  batch.supplier = plain_side(their_cost, their_mass, their_outside, their_stock, batch.nodes, &check);
  check.vector(begun, jaxcpp::talk_length(batch.nodes));
  check.vector(*numbers, jaxcpp::talk_length(batch.nodes));
  check.fits(begun_slopes, 2 * batch.nodes, batch.nodes);
  check.fits(*slopes, 2 * batch.nodes, batch.nodes);
  check.scalar(last_epsilon);
  check.scalar(rounds);
  if (!check.good()) return misfit();
  batch.begun = begun.typed_data();
  batch.begun_slopes = begun_slopes.typed_data();
  batch.last_epsilon = last_epsilon.typed_data();
  batch.rounds = rounds.typed_data();
  batch.numbers = numbers->typed_data();
  batch.slopes = slopes->typed_data();
  return jaxcpp::play(batch, threads) ? ffi::Error::Success() : no_memory();
}

}  // namespace

extern "C" __attribute__((visibility("default"))) XLA_FFI_Error* jaxcpp_play(XLA_FFI_CallFrame*);

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxcpp_play, Play,
                              ffi::Ffi::Bind()
                                  .Arg<Real>()  // the retailer
                                  .Arg<Real>()
                                  .Arg<Real>()
                                  .Arg<Real>()
                                  .Arg<Real>()  // the supplier
                                  .Arg<Real>()
                                  .Arg<Real>()
                                  .Arg<Real>()
                                  .Arg<Real>()  // where they stand: numbers, slopes
                                  .Arg<Real>()
                                  .Arg<Real>()  // the last smoothing, rounds
                                  .Arg<Whole>()
                                  .Ret<Real>()  // where they stand then
                                  .Ret<Real>()
                                  .Attr<int64_t>("threads"));
