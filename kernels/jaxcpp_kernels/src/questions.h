// A call of XLA's that asks one side of every problem near a proposal. For all platforms.
#pragma once

#include "call.h"

namespace {

using jaxcpp::Questions;

// What every platform's door is given, in this order.
struct Asked {
  Real cost, mass, outside, stock, price, proposal, start, rho, epsilon, accuracy;
  Whole max_rounds;
  ffi::Result<Real> plan, behind;
  ffi::Result<Whole> rounds;

  bool fits(Questions* batch) {
    Check check;
    const Shape lanes = check.of(cost, 2);
    batch->problems = check.problems();
    batch->nodes = lanes.last[0];
    batch->side.columns = lanes.last[1];
    for (const Real* each : {&mass, &outside}) check.vector(*each, batch->side.columns);
    for (const Real* each : {&stock, &price, &proposal, &start}) check.vector(*each, batch->nodes);
    for (const Real* each : {&rho, &epsilon, &accuracy}) check.scalar(*each);
    check.scalar(max_rounds);
    check.vector(*plan, batch->nodes);
    check.vector(*behind, batch->nodes);
    check.scalar(*rounds);
    if (!check.good()) return false;
    batch->side.cost = cost.typed_data();
    batch->side.mass = mass.typed_data();
    batch->side.outside = outside.typed_data();
    batch->side.stock = stock.typed_data();
    batch->price = price.typed_data();
    batch->proposal = proposal.typed_data();
    batch->start = start.typed_data();
    batch->rho = rho.typed_data();
    batch->epsilon = epsilon.typed_data();
    batch->accuracy = accuracy.typed_data();
    batch->max_rounds = max_rounds.typed_data();
    batch->plan = plan->typed_data();
    batch->behind = behind->typed_data();
    batch->rounds = rounds->typed_data();
    return true;
  }
};

// `binding` and the arrays of a call.
template <typename Binding>
auto with_questions(Binding binding) {
  return std::move(binding)
      .template Arg<Real>()  // cost, mass, outside, stock
      .template Arg<Real>()
      .template Arg<Real>()
      .template Arg<Real>()
      .template Arg<Real>()  // price, proposal, start
      .template Arg<Real>()
      .template Arg<Real>()
      .template Arg<Real>()  // rho, epsilon, accuracy, max_rounds
      .template Arg<Real>()
      .template Arg<Real>()
      .template Arg<Whole>()
      .template Ret<Real>()  // plan, the price behind it, rounds
      .template Ret<Real>()
      .template Ret<Whole>()
      .template Attr<int64_t>("threads");
}

}  // namespace

// The arguments of a door after its context, and the call they make.
#define JAXCPP_ASKED_ARGUMENTS                                                                               \
  Real cost, Real mass, Real outside, Real stock, Real price, Real proposal, Real start, Real rho,           \
      Real epsilon, Real accuracy, Whole max_rounds, ffi::Result<Real> plan, ffi::Result<Real> behind,       \
      ffi::Result<Whole> rounds, int64_t threads
#define JAXCPP_ASKED                                                                                         \
  Asked {                                                                                                    \
    cost, mass, outside, stock, price, proposal, start, rho, epsilon, accuracy, max_rounds, plan, behind, rounds \
  }
