// Rounds of the protocol for black boxes: the twin of jaxcpp/consensus/admm.py and reflections.py.
//
// What the coordinator does here it does with answers alone; the sides are asked as by anybody (proximal.h),
// but what they have loaded stays loaded from one answer to the next.
#pragma once

#include "proximal.h"

namespace {

constexpr double kDoubt = 0.03;          // share of a learned matrix that is not relied on
constexpr double kNothingNew = 1e-13;    // distance of questions whose answers say nothing
constexpr int kShortenings = 8;          // squarings on the way to the longest bend
constexpr double kAnswerAccuracy = 0.03; // of the residual
constexpr double kLeast = 1e-11, kMost = 1e-3;
constexpr double kLeaveResidual = 0.03, kSettledResidual = 1.0, kShrinkStage = 0.1;
constexpr double kFirstEpsilon = 0.1, kAstray = 0.3;
constexpr int64_t kAstrayAfter = 20;
constexpr double kLongestMove = 0.5;     // of a price, of the cost scale
constexpr int64_t kBolder = 10, kDares = 6;  // rounds of a stage; how often it dares more before it begins again
constexpr double kWeightier = 2.0, kSurer = 0.6;
constexpr int kAnswerRounds = 30;

// How one side's reflected answers bend, and what is needed to ask it.
struct Learner {
  Proximal side;
  double *slope, *asked, *heard;  // (n, stride), (stride)
  double *question, *reply;       // this round's
  double *way, *half;             // scratch
  double *plan, *behind;          // (n)
  bool known;
  double evaluations;
};

struct Rounds {
  Learner taking, shipping;
  int n, stride;
  double *proposal, *price, *negative;      // (stride)
  double *left, *following;                 // (2 stride)
  double *system, *step, *right, *over;     // (n, stride), (stride)
  double rho, epsilon, residual, left_epsilon;
  int64_t stage;                            // rounds of this smoothing
};

inline void lay_out(Learner* self, Arena* arena, int64_t nodes, int64_t columns, int stride) {
  lay_out(&self->side, arena, nodes, columns);
  self->slope = arena->take<double>(size_t(nodes) * stride);
  double** const by_node[] = {&self->asked, &self->heard, &self->question, &self->reply,
                              &self->way,   &self->half,  &self->plan,     &self->behind};
  for (double** each : by_node) *each = arena->take<double>(stride);
}

inline void lay_out(Rounds* self, Arena* arena, int64_t nodes, int64_t columns, int64_t sources) {
  self->n = int(nodes);
  self->stride = padded_doubles(int(nodes));
  lay_out(&self->taking, arena, nodes, columns, self->stride);
  lay_out(&self->shipping, arena, nodes, sources, self->stride);
  double** const by_node[] = {&self->proposal, &self->price, &self->negative, &self->step, &self->right, &self->over};
  for (double** each : by_node) *each = arena->take<double>(self->stride);
  self->left = arena->take<double>(2 * size_t(self->stride));
  self->following = arena->take<double>(2 * size_t(self->stride));
  self->system = arena->take<double>(size_t(nodes) * self->stride);
}

// Rows are padded with zeros: sums over whole vectors are sums over nodes.
inline double dot(const double* a, const double* b, int stride) {
  Doubles sum = {};
  for (int i = 0; i < stride; i += kDoubles) sum += load(a + i) * load(b + i);
  return sum_of(sum);
}

inline void add(double* to, const double* from, double factor, int stride) {
  const Doubles times = spread(factor);
  for (int i = 0; i < stride; i += kDoubles) store(to + i, load(to + i) + times * load(from + i));
}

// Of length one; false where there is no direction.
inline bool normalize(double* v, int stride) {
  const double length = __builtin_sqrt(dot(v, v, stride));
  if (!(length > 0.0) || !finite(length)) return false;
  for (int i = 0; i < stride; ++i) v[i] /= length;
  return true;
}

// No two answers lie further apart than their questions: the longest bend, looked for from the last change, is cut
// to length one.
inline void shorten(Learner* self, int n, int stride) {
  double *v = self->way, *w = self->half;
  for (int k = 0; k < kShortenings; ++k) {
    for (int i = 0; i < n; ++i) w[i] = dot(self->slope + size_t(i) * stride, v, stride);
    for (int i = 0; i < n; ++i) v[i] = dot(self->slope + size_t(i) * stride, w, stride);
    if (!normalize(v, stride)) return;
  }
  for (int i = 0; i < n; ++i) w[i] = dot(self->slope + size_t(i) * stride, v, stride);
  // Squares do not tell a bend from its opposite: of both parts the longer.
  const double length = __builtin_sqrt(dot(w, w, stride)), along = dot(v, w, stride);
  add(w, v, along < 0.0 ? -length : length, stride);
  if (!normalize(w, stride)) return;
  for (int i = 0; i < n; ++i) v[i] = dot(self->slope + size_t(i) * stride, w, stride);
  const double bend = dot(v, w, stride), over = bend - most(-1.0, least(bend, 1.0));
  if (over == 0.0) return;
  for (int i = 0; i < n; ++i) add(self->slope + size_t(i) * stride, w, -over * w[i], stride);
}

// One more answer: Powell's symmetric update, kept short.
inline void learn(Learner* self, int n, int stride) {
  double square = 0.0, sound = 0.0;
  for (int i = 0; i < n; ++i) {
    self->way[i] = self->question[i] - self->asked[i];
    square += self->way[i] * self->way[i];
    sound += self->reply[i];
  }
  const double length = __builtin_sqrt(square);
  if (self->known && length > kNothingNew && finite(sound)) {
    for (int i = 0; i < n; ++i) self->way[i] /= length;
    double along = 0.0;
    for (int i = 0; i < n; ++i) {
      const double missed = (self->reply[i] - self->heard[i]) / length -
                            dot(self->slope + size_t(i) * stride, self->way, stride);
      self->half[i] = missed;
      along += missed * self->way[i];
    }
    add(self->half, self->way, -0.5 * along, stride);
    for (int i = 0; i < n; ++i) {
      double* row = self->slope + size_t(i) * stride;
      add(row, self->way, self->half[i], stride);
      add(row, self->half, self->way[i], stride);
    }
    shorten(self, n, stride);
  }
  memcpy(self->asked, self->question, sizeof(double) * stride);
  memcpy(self->heard, self->reply, sizeof(double) * stride);
  self->known = true;
}

// Solve `system x = right` by elimination with row pivots; both are overwritten. False where it has no solution.
inline bool eliminate(Rounds* self) {
  const int n = self->n, stride = self->stride;
  double* a = self->system;
  double* right = self->right;
  for (int k = 0; k < n; ++k) {
    int best = k;
    double size = 0.0;
    for (int i = k; i < n; ++i) {
      const double here = __builtin_fabs(a[size_t(i) * stride + k]);
      if (here > size) {
        size = here;
        best = i;
      }
    }
    if (!(size > 0.0) || !finite(size)) return false;
    const int from = k / kDoubles * kDoubles;
    double* pivot = a + size_t(k) * stride;
    if (best != k) {
      double* other = a + size_t(best) * stride;
      for (int j = from; j < stride; j += kDoubles) {
        const Doubles kept = load(pivot + j);
        store(pivot + j, load(other + j));
        store(other + j, kept);
      }
      const double kept = right[k];
      right[k] = right[best];
      right[best] = kept;
    }
    const double per = 1.0 / pivot[k];
    for (int i = k + 1; i < n; ++i) {
      double* row = a + size_t(i) * stride;
      const double share = row[k] * per;
      if (share == 0.0) continue;
      add(row + from, pivot + from, -share, stride - from);
      right[i] -= share * right[k];
    }
  }
  for (int k = n - 1; k >= 0; --k) {
    double sum = right[k];
    const double* row = a + size_t(k) * stride;
    for (int j = k + 1; j < n; ++j) sum -= row[j] * self->step[j];
    self->step[k] = sum / row[k];
  }
  return true;
}

// What to ask next: `low` and `high`, where both sides' lines cross.
inline void crossing(Rounds* self, double trusted, double* low, double* high) {
  const int n = self->n, stride = self->stride;
  const Learner &one = self->taking, &other = self->shipping;
  for (int i = 0; i < n; ++i) self->over[i] = one.heard[i] - other.asked[i];
  for (int i = 0; i < n; ++i) {
    double* row = self->system + size_t(i) * stride;
    const double* bend = other.slope + size_t(i) * stride;
    memset(row, 0, sizeof(double) * stride);
    for (int k = 0; k < n; ++k) add(row, one.slope + size_t(k) * stride, -trusted * trusted * bend[k], stride);
    row[i] += 1.0;
    self->right[i] = other.heard[i] - one.asked[i] + trusted * dot(bend, self->over, stride);
  }
  bool sound = eliminate(self);
  for (int i = 0; sound && i < n; ++i) {
    low[i] = one.asked[i] + self->step[i];
    high[i] = one.heard[i] + trusted * dot(one.slope + size_t(i) * stride, self->step, stride);
    sound = finite(low[i]) && finite(high[i]);
  }
  if (sound) return;
  memcpy(low, other.heard, sizeof(double) * n);
  memcpy(high, one.heard, sizeof(double) * n);
}

// One side's answer; false where it was asked what nobody can answer.
inline bool ask(Learner* self, const Rounds& at, const double* price, double rho, double accuracy) {
  Question question;
  question.nodes = at.n;
  question.price = price;
  question.proposal = at.proposal;
  question.start = self->behind;
  question.rho = rho;
  question.epsilon = at.epsilon;
  question.accuracy = accuracy;
  question.max_rounds = kAnswerRounds;
  if (!sound(question)) return false;
  Reply reply;
  reply.plan = self->plan;
  reply.price = self->behind;
  respond_to(question, &self->side, &reply);
  self->evaluations += reply.rounds;
  return true;
}

// The answers to both questions, and how far apart they are; false where they cannot be asked.
inline bool hear(Rounds* self, double rho) {
  const int n = self->n;
  const double accuracy = least(most(kAnswerAccuracy * self->residual, kLeast), kMost);
  for (int i = 0; i < n; ++i) self->negative[i] = -self->price[i];
  if (!ask(&self->taking, *self, self->price, rho, accuracy)) return false;
  if (!ask(&self->shipping, *self, self->negative, rho, accuracy)) return false;
  double primal = 0.0, dual = 0.0;
  for (int i = 0; i < n; ++i) {
    const double z = self->proposal[i], worth = self->price[i] / rho;
    const double taken = self->taking.plan[i], shipped = self->shipping.plan[i];
    self->taking.question[i] = z - worth;
    self->taking.reply[i] = 2.0 * taken - (z - worth);
    self->shipping.question[i] = z + worth;
    self->shipping.reply[i] = 2.0 * shipped - (z + worth);
    primal += __builtin_fabs(taken - shipped);
    dual += __builtin_fabs(taken + shipped - 2.0 * z);
  }
  learn(&self->taking, n, self->stride);
  learn(&self->shipping, n, self->stride);
  self->residual = primal + dual;
  return true;
}

// The plan and price where both sides are expected to agree, no price too far from here.
inline void follow_lines(Rounds* self, double rho, double trusted) {
  const int n = self->n;
  double *low = self->following, *high = self->following + self->stride;
  crossing(self, trusted, low, high);
  double longest = 0.0;
  for (int i = 0; i < n; ++i) {
    const double plan = 0.5 * (low[i] + high[i]), price = 0.5 * rho * (high[i] - low[i]);
    low[i] = plan;
    high[i] = price;
    longest = most(longest, __builtin_fabs(price - self->price[i]));
  }
  const double share = longest > kLongestMove ? kLongestMove / longest : 1.0;
  for (int i = 0; i < n; ++i) {
    low[i] = self->proposal[i] + share * (low[i] - self->proposal[i]);
    high[i] = self->price[i] + share * (high[i] - self->price[i]);
  }
}

// One round; false where it cannot be played.
inline bool play(Rounds* self, double last_epsilon) {
  const int n = self->n;
  double rho = self->rho, doubt = kDoubt;
  for (int64_t k = self->stage / kBolder % kDares; k > 0; --k) {
    rho *= kWeightier;
    doubt *= kSurer;
  }
  if (!hear(self, rho)) return false;
  follow_lines(self, rho, 1.0 - doubt);
  const bool lower =
      self->residual < least(kLeaveResidual, kSettledResidual * self->epsilon) && self->epsilon > last_epsilon;
  // Where answers are sharp and far from each other, lines say nothing.
  const bool higher = self->stage >= kAstrayAfter && self->residual > kAstray && self->epsilon < kFirstEpsilon;
  double share = 0.0;
  double epsilon = self->epsilon;
  if (higher) epsilon = least(epsilon / kShrinkStage, kFirstEpsilon);
  if (lower) {
    epsilon = most(kShrinkStage * epsilon, last_epsilon);
    if (self->left_epsilon > 0.0) share = (epsilon - self->epsilon) / (self->epsilon - self->left_epsilon);
  }
  const double *plan = self->following, *price = self->following + self->stride;
  for (int i = 0; i < n; ++i) {
    self->proposal[i] = plan[i] + share * (plan[i] - self->left[i]);
    self->price[i] = price[i] + share * (price[i] - self->left[i + self->stride]);
  }
  self->stage = lower || higher ? 0 : self->stage + 1;
  // Answers under another weight are no answers to what is asked now.
  if (self->stage % kBolder == 0) self->taking.known = self->shipping.known = false;
  if (!lower && !higher) return true;
  memcpy(self->left, self->following, 2 * sizeof(double) * self->stride);
  self->left_epsilon = lower ? self->epsilon : 0.0;
  self->rho *= __builtin_sqrt(epsilon / self->epsilon);
  self->epsilon = epsilon;
  self->residual = 1.0;
  return true;
}

// Vectors of the state in the order of `Talk::numbers`, and their rows here.
inline void rows_of(Rounds* self, double* rows[]) {
  Learner &one = self->taking, &other = self->shipping;
  double* const all[] = {self->proposal, self->price,   one.plan,   self->left,  self->left + self->stride, one.asked,
                         one.heard,      other.asked, other.heard, one.behind, other.behind};
  static_assert(sizeof all / sizeof *all == kTalkRows, "a row for each vector of the state");
  memcpy(rows, all, sizeof all);
}

inline void zero_padding(Rounds* self) {
  const int n = self->n, stride = self->stride;
  const size_t spare = sizeof(double) * (stride - n);
  Learner* const both[] = {&self->taking, &self->shipping};
  for (Learner* each : both) {
    double* const rows[] = {each->asked, each->heard, each->question, each->reply, each->way, each->half};
    for (double* row : rows) memset(row + n, 0, spare);
    for (int i = 0; i < n; ++i) memset(each->slope + size_t(i) * stride + n, 0, spare);
  }
  double* const rows[] = {self->step, self->over};
  for (double* row : rows) memset(row + n, 0, spare);
}

inline void talk_one(const Talk& talk, Rounds* self) {
  const int n = self->n, stride = self->stride;
  memcpy(talk.numbers, talk.begun, sizeof(double) * talk_length(n));
  memcpy(talk.slopes, talk.begun_slopes, 2 * sizeof(double) * n * n);
  if (talk.rounds <= 0) return;
  double* rows[kTalkRows];
  rows_of(self, rows);
  for (int r = 0; r < kTalkRows; ++r) memcpy(rows[r], talk.begun + size_t(r) * n, sizeof(double) * n);
  zero_padding(self);
  const double* scalars = talk.begun + size_t(kTalkRows) * n;
  self->rho = scalars[0];
  self->epsilon = scalars[1];
  self->residual = scalars[2];
  self->left_epsilon = scalars[3];
  self->taking.known = scalars[4] != 0.0;
  self->shipping.known = scalars[5] != 0.0;
  self->stage = scalars[8] >= 0.0 && scalars[8] < 1e9 ? int64_t(scalars[8]) : 0;
  Learner* const both[] = {&self->taking, &self->shipping};
  for (int a = 0; a < 2; ++a) {
    both[a]->evaluations = scalars[6 + a];
    for (int i = 0; i < n; ++i)
      memcpy(both[a]->slope + size_t(i) * stride, talk.begun_slopes + (size_t(a) * n + i) * n, sizeof(double) * n);
  }
  bool good = sound(talk.retailer, n) && sound(talk.supplier, n);
  if (good) {
    load_side(&self->taking.side, talk.retailer, n);
    load_side(&self->shipping.side, talk.supplier, n);
  }
  for (int64_t round = 0; good && round < talk.rounds; ++round) good = play(self, talk.last_epsilon);
  if (!good)
    for (int i = 0; i < n; ++i) self->taking.plan[i] = __builtin_nan("");
  for (int r = 0; r < kTalkRows; ++r) memcpy(talk.numbers + size_t(r) * n, rows[r], sizeof(double) * n);
  const double ended[] = {self->rho, self->epsilon, self->residual, self->left_epsilon,
                          double(self->taking.known), double(self->shipping.known),
                          self->taking.evaluations, self->shipping.evaluations, double(self->stage)};
  static_assert(sizeof ended / sizeof *ended == kTalkScalars, "as many as are read");
  memcpy(talk.numbers + size_t(kTalkRows) * n, ended, sizeof ended);
  for (int a = 0; a < 2; ++a)
    for (int i = 0; i < n; ++i)
      memcpy(talk.slopes + (size_t(a) * n + i) * n, both[a]->slope + size_t(i) * stride, sizeof(double) * n);
}

}  // namespace
