// The CUDA kernels without JAX: takes the place of batch.cpp, so that whatever calls `jaxcpp::solve`
// or `jaxcpp::respond` with arrays of the processor runs on the device.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "batch.h"
#include "cuda.h"

namespace jaxcpp {
namespace {

void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  std::printf("CUDA: %s\n", cudaGetErrorString(error));
  std::exit(3);
}

// Copies on the device, freed together; what comes back is copied back first.
class Copies {
 public:
  template <typename T>
  void there(const T** array, int64_t count) {
    if (!*array) return;
    T* const copy = static_cast<T*>(fresh((count ? count : 1) * sizeof(T)));
    check(cudaMemcpy(copy, *array, count * sizeof(T), cudaMemcpyHostToDevice));
    *array = copy;
  }

  template <typename T>
  void back(T** array, int64_t count) {
    T* const copy = static_cast<T*>(fresh((count ? count : 1) * sizeof(T)));
    check(cudaMemset(copy, 0xff, count * sizeof(T)));  // what is not written shows
    results_.push_back({*array, copy, size_t(count) * sizeof(T)});
    *array = copy;
  }

  ~Copies() {
    for (const Copy& each : results_) check(cudaMemcpy(each.to, each.from, each.bytes, cudaMemcpyDeviceToHost));
    for (void* each : owned_) check(cudaFree(each));
  }

 private:
  void* fresh(size_t bytes) {
    void* memory = nullptr;
    check(cudaMalloc(&memory, bytes));
    owned_.push_back(memory);
    return memory;
  }

  struct Copy {
    void *to, *from;
    size_t bytes;
  };
  std::vector<void*> owned_;
  std::vector<Copy> results_;
};

void side(Copies* copies, Sides* sides, int64_t batch, int64_t nodes) {
  copies->there(&sides->cost, batch * (nodes / sides->weeks) * sides->columns);
  copies->there(&sides->time, batch * sides->weeks * sides->columns);
  for (const double** each : {&sides->mass, &sides->outside, &sides->lost})
    copies->there(each, batch * sides->columns);
  copies->there(&sides->stock, batch * nodes);
  copies->there(&sides->unit_margin, batch);
  copies->there(&sides->open, batch * nodes);
}

template <typename AnyBatch>
bool carried_out(const AnyBatch& batch) {
  Launch how;
  if (!in_bounds(batch)) return false;
  check(plan_launch(batch, &how));
  void* scratch = nullptr;
  check(cudaMalloc(&scratch, how.scratch_bytes));
  check(launch(batch, how, scratch, nullptr));
  check(cudaGetLastError());
  check(cudaDeviceSynchronize());
  check(cudaFree(scratch));
  return true;
}

}  // namespace

int instruction_set() { return 1; }

bool solve(const Batch& given, int64_t) {
  if (given.problems <= 0) return true;
  Batch batch = given;
  const int64_t count = batch.problems, nodes = batch.nodes;
  Copies copies;
  side(&copies, &batch.retailer, count, nodes);
  side(&copies, &batch.supplier, count, nodes);
  copies.there(&batch.plan, count * nodes);
  copies.there(&batch.start, count * nodes);
  for (const double** each : {&batch.epsilon, &batch.strict, &batch.tolerance}) copies.there(each, count);
  copies.there(&batch.max_rounds, count);
  copies.back(&batch.price, count * nodes);
  copies.back(&batch.out_epsilon, count);
  copies.back(&batch.gap, count);
  copies.back(&batch.rounds, count);
  copies.back(&batch.done, count);
  if (batch.proposal) copies.back(&batch.proposal, count * nodes);
  if (batch.taken) copies.back(&batch.taken, count * nodes * batch.retailer.columns);
  if (batch.shipped) copies.back(&batch.shipped, count * nodes * batch.supplier.columns);
  return carried_out(batch);
}

bool respond(const Questions& given, int64_t) {
  if (given.problems <= 0) return true;
  Questions batch = given;
  const int64_t count = batch.problems, nodes = batch.nodes;
  Copies copies;
  side(&copies, &batch.side, count, nodes);
  for (const double** each : {&batch.price, &batch.proposal, &batch.start}) copies.there(each, count * nodes);
  for (const double** each : {&batch.rho, &batch.epsilon, &batch.accuracy}) copies.there(each, count);
  copies.there(&batch.max_rounds, count);
  copies.back(&batch.plan, count * nodes);
  copies.back(&batch.behind, count * nodes);
  copies.back(&batch.rounds, count);
  return carried_out(batch);
}

}  // namespace jaxcpp
