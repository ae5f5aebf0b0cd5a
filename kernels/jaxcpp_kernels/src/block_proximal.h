// One side's best plan at a price, held near a proposal, on a block of threads: proximal.h's twin, by the
// same rules.
#pragma once

#include "block_answer.h"
#include "block_extent.h"

namespace {

using jaxcpp::Question;
using jaxcpp::Reply;

// What holds the plan: one more coupling of every node to the ground. What it leaves is kept in `fixed`.
struct Held {
  const Question& question;

  JAXCPP_BLOCK void close(Contract& c, int i, double price, double epsilon, Totals* totals, double*) const {
    const int node = c.node[i];
    const double reached = question.proposal[node] + (price - question.price[node]) / question.rho;
    // Where there is stock, a plan must be kept from falling below zero; elsewhere it cannot.
    const bool free = !(c.retailer.stock[i] > 0.0) || reached > 0.0;
    const double held = free ? reached : 0.0;
    if (free) c.ground[i] += epsilon / question.rho;
    totals->value -= 0.5 * question.rho * held * held;
    c.fixed[i] = held;
    c.gradient[i] -= held;
  }

  JAXCPP_BLOCK double spend(double sum) const { return sum; }
};

// After a look at the trial, the next trial. False where the answer is found, or there is no way on.
JAXCPP_BLOCK bool advance(Block& block, Contract& c, const Question& question, const Totals& seen, double imbalance,
                          Progress* at, Reply* reply) {
  ++reply->rounds;
  if (!finite(seen.value) && !at->moved) return false;
  if (at->moved && !rises(*at, seen.value)) {
    cut_move(block, c);
    cut(at);
    return at->rejected < kStalled;
  }
  for (int i = block.thread(); i < c.n; i += block.threads()) c.price[i] = c.trial[i];
  accept(seen.value, at);
  reply->done = kRepairPrice * imbalance <= question.accuracy;
  if (reply->done) return false;
  const double limit = at->radius * at->epsilon, longest = direct(block, c, at->epsilon, limit);
  at->clipped = longest > limit;
  double sums[2] = {0.0, 0.0};
  for (int i = block.thread(); i < c.n; i += block.threads()) {
    sums[0] += c.step[i];
    sums[1] += c.gradient[i] * c.step[i];
  }
  block.sum(sums);
  if (!finite(sums[0])) return false;
  at->rise = sums[1];
  for (int i = block.thread(); i < c.n; i += block.threads()) {
    c.move[i] = c.step[i];
    c.trial[i] = c.price[i] + c.step[i];
  }
  return true;
}

// The side alone, with nobody across.
JAXCPP_BLOCK Problem posed(const Question& question) {
  Problem problem;
  problem.nodes = question.nodes;
  problem.retailer = question.side;
  problem.plan = question.proposal;
  problem.start = question.start;
  problem.epsilon = question.epsilon;
  return problem;
}

JAXCPP_BLOCK bool sound(Block& block, const Question& question) {
  bool bad = !(question.rho > 0.0) || !finite(question.rho);
  for (int i = block.thread(); i < question.nodes; i += block.threads()) bad = bad || !finite(question.price[i]);
  return !block.any(bad);
}

// The plan last looked at and the price behind it; nodes that nothing reaches are held by the quadratic alone.
JAXCPP_BLOCK void reply_with(const Block& block, const Question& question, const Contract& c, const Reply& reply) {
  for (int i = block.thread(); i < int(question.nodes); i += block.threads()) {
    if (c.used[i]) continue;
    reply.plan[i] = 0.0;
    reply.price[i] = question.price[i] - question.rho * question.proposal[i];
  }
  for (int i = block.thread(); i < c.n; i += block.threads()) {
    reply.plan[c.node[i]] = most(c.gradient[i] + c.fixed[i], 0.0);
    reply.price[c.node[i]] = c.price[i];
  }
}

template <int kPer, int kSplit>
JAXCPP_BLOCK void respond_one(Block& block, const Question& question, Contract& c, Reply* reply) {
  const Problem problem = posed(question);
  if (!sound(block, problem) || !sound(block, question)) {
    for (int i = block.thread(); i < int(question.nodes); i += block.threads()) {
      reply->plan[i] = __builtin_nan("");
      reply->price[i] = question.start[i];
    }
    return;
  }
  load(block, problem, c);
  Progress at = begin_at(question.epsilon);
  // The quadratic is a guard of its own: however small the smoothing, a step may go this far.
  at.radius = most(kLongest / question.epsilon, kClip);
  bool last = question.max_rounds <= 0;
  for (;;) {
    // Not as near as asked for: the answer at the price last accepted.
    for (int i = block.thread(); last && i < c.n; i += block.threads()) c.trial[i] = c.price[i];
    double imbalance;
    const Totals seen = look<kPer, kSplit>(block, c, Held{question}, question.epsilon, &imbalance);
    if (last) break;
    const bool on = advance(block, c, question, seen, imbalance, &at, reply) && reply->rounds < question.max_rounds;
    if (reply->done) break;
    last = !on;
  }
  reply_with(block, question, c, *reply);
}

template <int kPer, int kSplit>
JAXCPP_BLOCK void respond_at(Block& block, const Questions& batch, Contract& c, int64_t index) {
  Reply reply;
  reply.plan = batch.plan + index * batch.nodes;
  reply.price = batch.behind + index * batch.nodes;
  respond_one<kPer, kSplit>(block, jaxcpp::question_at(batch, index), c, &reply);
  if (block.thread() == 0) batch.rounds[index] = reply.rounds;
}

}  // namespace
