// The rules of the path, jaxcpp/transport/path.py's state machine: what is accepted, how far a step may
// go, when epsilon falls, when it is over. The CPU core (path.h, proximal.h) and the GPU core (block_path.h,
// block_proximal.h) share them; each has its own way to look at a price and to find a direction.
#pragma once

#include "scalar.h"

namespace {

constexpr double kShrink = 0.5;        // epsilon from one stage to the next
constexpr double kLeaveStage = 0.2;    // imbalance (mass 1) below which a stage may be left
constexpr double kClip = 2.0;          // most a node moves of its own, in epsilon, until more has proved good
constexpr double kSettled = 1e-4;      // rise that a step promises, in epsilon, below which its length is no matter
constexpr double kArmijo = 1e-4;
constexpr double kCut = 0.25;          // of a move that was rejected
constexpr double kRepairPrice = 3.0;   // what moving one unit of imbalance is expected to cost
constexpr double kEnough = 0.8;        // of the target: proven to this, epsilon need not fall
constexpr double kAim = 0.5;           // of the target: what the last epsilon is chosen for
constexpr double kLeastSpend = 1e-6;   // what the tolerance is relative to, at least
constexpr double kPrecision = 0x1p-52;
constexpr int kStalled = 8;            // rejections in a row after which rounding error is all that is left

constexpr double kDust = 1e-7;         // a share below this is smoothing, not shipping
constexpr int kFillStages = 5, kFillPasses = 3;
constexpr double kFilled = 16.0 * 0x1p-52;  // what may be missing from flows that are called filled

constexpr double kLongest = 0.05;      // of the cost scale: how far an answer's first step may move a price

constexpr double kMissing = 1e300;     // cost of a missing lane
constexpr double kLeastPivot = 1e-36;  // near the smallest float

// Of the units through a node: decides along directions in which the dual is flat, where the imbalance
// is known only to rounding error.
constexpr double kRidge = 3.6e-15;

// What both sides say of one price. `bound` is the dual value without smoothing; value + bias - bound
// is what is proven; the tolerance is of `spend`.
struct Totals {
  double value, bias, bound, spend;
};

// Where the path stands, beside the price last accepted and the trial to look at next.
struct Progress {
  double epsilon, trial_epsilon;
  double value;   // at the price
  double rise;    // of the value that the Newton part of the move promises, to first order
  double radius;  // most a node moves of its own in a Newton step, in epsilon
  bool moved;     // is there an accepted point to compare with
  bool clipped;   // would a node have moved more
  int rejected;   // in a row
};

JAXCPP_DEVICE Progress begin_at(double epsilon) {
  return Progress{epsilon, epsilon, 0.0, 0.0, kClip, false, false, 0};
}

// Does the trial's value rise as it should? A rise below rounding error must not be mistaken for a
// fall. Lowering epsilon alone raises the value.
JAXCPP_DEVICE bool rises(const Progress& at, double value) {
  const double noise = 8.0 * kPrecision * (1.0 + size_of(at.value));
  return value >= at.value + kArmijo * at.rise - noise;
}

// A rejected move, price and epsilon alike, is cut.
JAXCPP_DEVICE void cut(Progress* at) {
  at->trial_epsilon = at->epsilon + kCut * (at->trial_epsilon - at->epsilon);
  at->rise *= kCut;
  at->radius = most(kClip, kCut * at->radius);
  ++at->rejected;
}

// Clipped steps that rise as promised may be longer: a part of the network that hardly trades with
// the rest moves as one, and has far to go.
JAXCPP_DEVICE void adapt_radius(double value, Progress* at) {
  const double kept = (value - at->value) / at->rise;
  if (!at->clipped)
    at->radius = kClip;
  else if (kept > 0.7)
    at->radius *= 2.0;
  else if (kept < 0.3)
    at->radius = most(kClip, 0.5 * at->radius);
}

JAXCPP_DEVICE void accept(double value, Progress* at) {
  if (at->moved) adapt_radius(value, at);
  at->epsilon = at->trial_epsilon;
  at->value = value;
  at->rejected = 0;
  at->moved = true;
}

// After a direction of which a node alone would have gone `longest`: the next epsilon to try, lower
// where the stage is at its end. The bias, nearly all of what is proven, falls with epsilon: go no
// further than needed.
JAXCPP_DEVICE bool lower_epsilon(double proven, double target, double imbalance, double longest, Progress* at) {
  at->clipped = longest > at->radius * at->epsilon;
  const bool enough = proven <= kEnough * target || at->epsilon <= 64.0 * kPrecision;
  const bool near = longest <= kClip * at->epsilon || at->rise <= kSettled * at->epsilon;
  const bool lower = !enough && imbalance < kLeaveStage && near;
  at->trial_epsilon = lower ? at->epsilon * most(kShrink, kAim * target / proven) : at->epsilon;
  return lower;
}

}  // namespace
