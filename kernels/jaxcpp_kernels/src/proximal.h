// One side's best plan at a price, held near a proposal: the twin of jaxcpp/transport/proximal.py.
//
// In the node price `q` behind the answer, the side's smoothed dual less rho/2 |held|^2, held = proposal +
// (q - price) / rho, is as great as can be. The quadratic is one more coupling of every node to the ground.
#pragma once

#include "load.h"

namespace {

struct Proximal {
  Side side;
  Laplacian slope;
  int n, stride;  // nodes in use, padded to vectors
  double *price, *trial, *move, *gradient, *step, *idle;
  double *asked, *proposal, *held;  // what the coordinator asked, and what the quadratic leaves at the trial
  int32_t* nodes;
  unsigned char* used;
  double listed;  // smoothing that the side's lists were made for
};

inline void lay_out(Proximal* self, Arena* arena, int64_t nodes, int64_t columns) {
  lay_out(&self->side, arena, columns, nodes);
  lay_out(&self->slope, arena, int(nodes));
  const size_t stride = padded_floats(int(nodes) + 1);
  double** const by_node[] = {&self->price, &self->trial, &self->move,     &self->gradient, &self->step,
                              &self->idle,  &self->asked, &self->proposal, &self->held};
  for (double** each : by_node) *each = arena->take<double>(stride);
  self->nodes = arena->take<int32_t>(nodes);
  self->used = arena->take<unsigned char>(nodes);
}

// Where there is stock, a plan must be kept from falling below zero; elsewhere it cannot.
inline bool cut_off(const Proximal& self, int i) { return self.side.stock && self.side.stock[i] > 0.0 && !(self.held[i] > 0.0); }

// The dual at `trial`; its gradient goes to `gradient`, the gradient's size to `imbalance`.
inline double look(Proximal* self, const Question& question, double* imbalance) {
  Totals seen = {0.0, 0.0, 0.0, 0.0};
  answer(&self->side, self->trial, question.epsilon, &seen);
  const double per_rho = 1.0 / question.rho;
  for (int i = 0; i < self->stride; i += kDoubles)
    store(self->held + i, load(self->proposal + i) + (load(self->trial + i) - load(self->asked + i)) * per_rho);
  for (int i = 0; self->side.stock && i < self->n; ++i)
    if (cut_off(*self, i)) self->held[i] = 0.0;
  Doubles sum = {}, square = {};
  for (int i = 0; i < self->stride; i += kDoubles) {
    const Doubles held = load(self->held + i), over = load(self->side.plan + i) - held;
    store(self->gradient + i, over);
    sum += larger(over, -over);
    square += held * held;
  }
  *imbalance = sum_of(sum);
  return seen.value - 0.5 * question.rho * sum_of(square);
}

// Newton's step at the point last looked at, no node further than `longest` on its own; how far one would have.
inline double direct(Proximal* self, const Question& question, double longest) {
  clear(&self->slope);
  add_slope(self->side, &self->slope);
  // The Laplacian is the slope times epsilon.
  const float bend = float(question.epsilon / question.rho);
  for (int i = 0; i < self->n; ++i) {
    if (!cut_off(*self, i)) couple_to_ground(&self->slope, i, bend);
    self->step[i] = self->gradient[i] * question.epsilon;
    self->idle[i] = 0.0;
  }
  factorize(&self->slope);
  return solve(&self->slope, self->step, self->idle, longest);
}

// One look at the trial, and the next trial. False where the answer is found, or there is no way on.
inline bool advance(Proximal* self, const Question& question, Progress* at, Reply* reply) {
  const int n = self->n;
  double imbalance;
  const double value = look(self, question, &imbalance);
  ++reply->rounds;
  if (!finite(value) && !at->moved) return false;
  if (at->moved && !rises(*at, value)) {
    for (int i = 0; i < n; ++i) {
      self->move[i] *= kCut;
      self->trial[i] = self->price[i] + self->move[i];
    }
    cut(at);
    return at->rejected < kStalled;
  }
  memcpy(self->price, self->trial, sizeof(double) * self->stride);
  accept(value, at);
  reply->done = kRepairPrice * imbalance <= question.accuracy;
  if (reply->done) return false;
  const double limit = at->radius * at->epsilon, longest = direct(self, question, limit);
  at->clipped = longest > limit;
  double sum = 0.0;
  at->rise = 0.0;
  for (int i = 0; i < n; ++i) {
    sum += self->step[i];
    at->rise += self->gradient[i] * self->step[i];
  }
  if (!finite(sum)) return false;
  for (int i = 0; i < n; ++i) {
    self->move[i] = self->step[i];
    self->trial[i] = self->price[i] + self->step[i];
  }
  return true;
}

inline bool sound(const Question& question) {
  if (!(question.epsilon > 0.0) || !finite(question.epsilon)) return false;
  if (!(question.rho > 0.0) || !finite(question.rho)) return false;
  for (int64_t i = 0; i < question.nodes; ++i)
    if (!finite(question.price[i]) || !finite(question.proposal[i]) || !finite(question.start[i])) return false;
  return true;
}

inline void search(Proximal* self, const Question& question, Reply* reply) {
  Progress at = begin_at(question.epsilon);
  // The quadratic is a guard of its own: however small the smoothing, a step may go this far.
  at.radius = most(kLongest / question.epsilon, kClip);
  while (reply->rounds < question.max_rounds && advance(self, question, &at, reply)) {
  }
  if (reply->done) return;
  // Not as near as asked for: the answer at the price last accepted.
  double imbalance;
  memcpy(self->trial, self->price, sizeof(double) * self->stride);
  look(self, question, &imbalance);
}

// Make ready for questions to a side that is sound.
inline void load_side(Proximal* self, const SideView& side, int64_t nodes) {
  memset(self->used, 0, nodes);
  mark_used(side, nodes, self->used);
  self->n = 0;
  for (int64_t i = 0; i < nodes; ++i)
    if (self->used[i]) self->nodes[self->n++] = int32_t(i);
  self->stride = padded_doubles(self->n);
  fill(&self->side, side, self->nodes, self->n, 1.0);
  self->listed = 0.0;
  resize(&self->slope, self->n);
}

// Lists that hold nothing are made anew at the next look, where they are short. Those of an answer at the same
// smoothing stand until prices have moved too far.
inline void renew_lists(Proximal* self, double epsilon) {
  for (int j = 0; j < self->side.m; ++j) {
    if (self->listed == epsilon && self->side.count[j] >= 0) continue;
    self->side.count[j] = 0;
    self->side.guard[j] = -__builtin_inf();
  }
  self->listed = epsilon;
}

// The answer of the side that was loaded last to a question that is sound.
inline void respond_to(const Question& question, Proximal* self, Reply* reply) {
  reply->rounds = 0;
  reply->done = false;
  renew_lists(self, question.epsilon);
  for (int64_t i = 0; i < question.nodes; ++i) {
    if (self->used[i]) continue;
    reply->plan[i] = 0.0;
    reply->price[i] = question.price[i] - question.rho * question.proposal[i];
  }
  for (int i = 0; i < self->stride; ++i) {
    const bool real = i < self->n;
    self->trial[i] = self->price[i] = real ? question.start[self->nodes[i]] : 0.0;
    self->asked[i] = real ? question.price[self->nodes[i]] : 0.0;
    self->proposal[i] = real ? question.proposal[self->nodes[i]] : 0.0;
    self->move[i] = 0.0;
  }
  search(self, question, reply);
  for (int i = 0; i < self->n; ++i) {
    reply->plan[self->nodes[i]] = most(self->side.plan[i], 0.0);
    reply->price[self->nodes[i]] = self->price[i];
  }
}

inline void respond_one(const Question& question, Proximal* self, Reply* reply) {
  if (sound(question) && sound(question.side, question.nodes)) {
    load_side(self, question.side, question.nodes);
    respond_to(question, self, reply);
    return;
  }
  reply->rounds = 0;
  reply->done = false;
  memcpy(reply->price, question.start, sizeof(double) * question.nodes);
  for (int64_t i = 0; i < question.nodes; ++i) reply->plan[i] = __builtin_nan("");
}

}  // namespace
