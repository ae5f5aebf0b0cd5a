// One problem of a batch, as views of its arrays.
#pragma once

#include "batch.h"
#include "scalar.h"

namespace jaxcpp {
namespace {

template <typename T>
JAXCPP_DEVICE const T* row(const T* array, int64_t index, int64_t length) {
  return array ? array + index * length : nullptr;
}

JAXCPP_DEVICE SideView view(const Sides& sides, int64_t index, int64_t nodes) {
  SideView one;
  one.columns = sides.columns;
  one.weeks = sides.weeks;
  one.cost = row(sides.cost, index, nodes / sides.weeks * sides.columns);
  one.time = row(sides.time, index, sides.weeks * sides.columns);
  one.open = row(sides.open, index, nodes);
  one.mass = row(sides.mass, index, sides.columns);
  one.outside = row(sides.outside, index, sides.columns);
  one.stock = row(sides.stock, index, nodes);
  one.lost = row(sides.lost, index, sides.columns);
  if (sides.unit_margin) one.unit_margin = sides.unit_margin[index];
  return one;
}

JAXCPP_DEVICE Problem problem_at(const Batch& batch, int64_t index) {
  Problem problem;
  problem.nodes = batch.nodes;
  problem.retailer = view(batch.retailer, index, batch.nodes);
  problem.supplier = view(batch.supplier, index, batch.nodes);
  problem.plan = row(batch.plan, index, batch.nodes);
  problem.start = row(batch.start, index, batch.nodes);
  problem.epsilon = batch.epsilon[index];
  problem.strict = batch.strict[index];
  problem.tolerance = batch.tolerance[index];
  problem.max_rounds = batch.max_rounds[index];
  problem.joined = batch.joined;
  return problem;
}

JAXCPP_DEVICE Talk talk_at(const Talks& batch, int64_t index) {
  Talk talk;
  talk.nodes = batch.nodes;
  talk.retailer = view(batch.retailer, index, batch.nodes);
  talk.supplier = view(batch.supplier, index, batch.nodes);
  talk.begun = row(batch.begun, index, talk_length(batch.nodes));
  talk.begun_slopes = row(batch.begun_slopes, index, 2 * batch.nodes * batch.nodes);
  talk.last_epsilon = batch.last_epsilon[index];
  talk.rounds = batch.rounds[index];
  talk.numbers = batch.numbers + index * talk_length(batch.nodes);
  talk.slopes = batch.slopes + index * 2 * batch.nodes * batch.nodes;
  return talk;
}

JAXCPP_DEVICE Question question_at(const Questions& batch, int64_t index) {
  Question question;
  question.nodes = batch.nodes;
  question.side = view(batch.side, index, batch.nodes);
  question.price = row(batch.price, index, batch.nodes);
  question.proposal = row(batch.proposal, index, batch.nodes);
  question.start = row(batch.start, index, batch.nodes);
  question.rho = batch.rho[index];
  question.epsilon = batch.epsilon[index];
  question.accuracy = batch.accuracy[index];
  question.max_rounds = batch.max_rounds[index];
  return question;
}

}  // namespace
}  // namespace jaxcpp
