// The CUDA device's door to XLA.
#include "call.h"
#include "cuda.h"

namespace {

constexpr size_t kAlign = 64;  // the most that XLA grants

ffi::Error failure(cudaError_t error) {
  return ffi::Error::Internal(std::string("jaxcpp_kernels: ") + cudaGetErrorString(error));
}

ffi::Error Follow(cudaStream_t stream, ffi::ScratchAllocator scratch, JAXCPP_CALL_ARGUMENTS) {
  (void)threads;  // the processor's
  Batch batch;
  if (!JAXCPP_CALL.fits(&batch)) return misfit();
  if (batch.problems <= 0) return ffi::Error::Success();
  jaxcpp::Launch how;
  const cudaError_t planned = jaxcpp::plan_launch(batch, &how);
  if (planned == cudaErrorInvalidValue) return no_memory();
  if (planned != cudaSuccess) return failure(planned);
  const std::optional<void*> memory = scratch.Allocate(how.scratch_bytes, kAlign);
  if (!memory) return no_memory();
  const cudaError_t started = jaxcpp::launch(batch, how, *memory, stream);
  return started == cudaSuccess ? ffi::Error::Success() : failure(started);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) XLA_FFI_Error* jaxcpp_follow_cuda(XLA_FFI_CallFrame*);

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    jaxcpp_follow_cuda, Follow,
    with_arrays(ffi::Ffi::Bind().Ctx<ffi::PlatformStream<cudaStream_t>>().Ctx<ffi::ScratchAllocator>()));

extern "C" {

// What the sources hashed to when this was built.
__attribute__((visibility("default"))) const char* jaxcpp_cuda_fingerprint() { return JAXCPP_FINGERPRINT; }
}
