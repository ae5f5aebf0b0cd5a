// Plain arithmetic, on a processor and on a GPU.
#pragma once

#ifdef __CUDACC__
#define JAXCPP_DEVICE __host__ __device__ __forceinline__
#else
#define JAXCPP_DEVICE inline
#endif

namespace {

JAXCPP_DEVICE double least(double a, double b) { return a < b ? a : b; }
JAXCPP_DEVICE double most(double a, double b) { return a > b ? a : b; }
JAXCPP_DEVICE double size_of(double a) { return a < 0.0 ? -a : a; }
JAXCPP_DEVICE bool finite(double value) { return value - value == 0.0; }

}  // namespace
