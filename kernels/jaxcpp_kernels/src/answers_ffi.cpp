// The CPU's door to XLA for questions to one side.
#include "call.h"

namespace {

ffi::Error Respond(Real cost, Real mass, Real outside, Real stock, Real price, Real proposal, Real start, Real rho,
                   Real epsilon, Real accuracy, Whole max_rounds, ffi::Result<Real> plan, ffi::Result<Real> behind,
                   ffi::Result<Whole> rounds, int64_t threads) {
  jaxcpp::Questions batch;
  Check check;
  const Shape lanes = check.of(cost, 2);
  batch.problems = check.problems();
  batch.nodes = lanes.last[0];
  batch.side.columns = lanes.last[1];
  for (const Real* each : {&mass, &outside}) check.vector(*each, batch.side.columns);
  for (const Real* each : {&stock, &price, &proposal, &start}) check.vector(*each, batch.nodes);
  for (const Real* each : {&rho, &epsilon, &accuracy}) check.scalar(*each);
  check.scalar(max_rounds);
  check.vector(*plan, batch.nodes);
  check.vector(*behind, batch.nodes);
  check.scalar(*rounds);
  if (!check.good()) return misfit();
  batch.side.cost = cost.typed_data();
  batch.side.mass = mass.typed_data();
  batch.side.outside = outside.typed_data();
  batch.side.stock = stock.typed_data();
  batch.price = price.typed_data();
  batch.proposal = proposal.typed_data();
  batch.start = start.typed_data();
  batch.rho = rho.typed_data();
  batch.epsilon = epsilon.typed_data();
  batch.accuracy = accuracy.typed_data();
  batch.max_rounds = max_rounds.typed_data();
  batch.plan = plan->typed_data();
  batch.behind = behind->typed_data();
  batch.rounds = rounds->typed_data();
  return jaxcpp::respond(batch, threads) ? ffi::Error::Success() : no_memory();
}

}  // namespace

extern "C" __attribute__((visibility("default"))) XLA_FFI_Error* jaxcpp_respond(XLA_FFI_CallFrame*);

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxcpp_respond, Respond,
                              ffi::Ffi::Bind()
                                  .Arg<Real>()  // cost, mass, outside, stock
                                  .Arg<Real>()
                                  .Arg<Real>()
                                  .Arg<Real>()
                                  .Arg<Real>()  // price, proposal, start
                                  .Arg<Real>()
                                  .Arg<Real>()
                                  .Arg<Real>()  // rho, epsilon, accuracy, max_rounds
                                  .Arg<Real>()
                                  .Arg<Real>()
                                  .Arg<Whole>()
                                  .Ret<Real>()  // plan, the price behind it, rounds
                                  .Ret<Real>()
                                  .Ret<Whole>()
                                  .Attr<int64_t>("threads"));
