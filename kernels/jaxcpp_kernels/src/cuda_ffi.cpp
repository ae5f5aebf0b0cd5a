// The CUDA device's doors to XLA.
#include "cuda.h"
#include "questions.h"

namespace {

ffi::Error failure(const char* what, cudaError_t error) {
  return ffi::Error::Internal(std::string("jaxcpp_kernels: ") + what + ": " + cudaGetErrorString(error));
}

// Memory for one launch: XLA's where it has some, else the device's own, given back in the stream.
class Scratch {
 public:
  Scratch(ffi::ScratchAllocator* from, size_t bytes, cudaStream_t stream) : stream_(stream) {
    const std::optional<void*> memory = from->Allocate(bytes);
    if (memory && *memory)
      memory_ = *memory;
    else if (cudaMallocAsync(&own_, bytes, stream) == cudaSuccess)
      memory_ = own_;
    else
      (void)cudaGetLastError();  // told by `memory`
  }
  ~Scratch() {
    if (own_) (void)cudaFreeAsync(own_, stream_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  void* memory() const { return memory_; }

 private:
  cudaStream_t stream_;
  void *memory_ = nullptr, *own_ = nullptr;
};

template <typename AnyBatch>
ffi::Error run(cudaStream_t stream, ffi::ScratchAllocator* scratch, const AnyBatch& batch) {
  if (batch.problems <= 0) return ffi::Error::Success();
  if (!jaxcpp::in_bounds(batch)) return no_memory();
  jaxcpp::Launch how;
  const cudaError_t planned = jaxcpp::plan_launch(batch, &how);
  if (planned != cudaSuccess) return failure("no launch", planned);
  const Scratch memory(scratch, how.scratch_bytes, stream);
  if (!memory.memory()) return no_memory();
  const cudaError_t started = jaxcpp::launch(batch, how, memory.memory(), stream);
  return started == cudaSuccess ? ffi::Error::Success() : failure("not started", started);
}

ffi::Error Follow(cudaStream_t stream, ffi::ScratchAllocator scratch, JAXCPP_CALL_ARGUMENTS) {
  (void)threads;  // the processor's
  Batch batch;
  if (!JAXCPP_CALL.fits(&batch)) return misfit();
  return run(stream, &scratch, batch);
}

ffi::Error Respond(cudaStream_t stream, ffi::ScratchAllocator scratch, JAXCPP_ASKED_ARGUMENTS) {
  (void)threads;  // the processor's
  Questions batch;
  if (!JAXCPP_ASKED.fits(&batch)) return misfit();
  return run(stream, &scratch, batch);
}

auto on_device() { return ffi::Ffi::Bind().Ctx<ffi::PlatformStream<cudaStream_t>>().Ctx<ffi::ScratchAllocator>(); }

}  // namespace

extern "C" __attribute__((visibility("default"))) XLA_FFI_Error* jaxcpp_follow_cuda(XLA_FFI_CallFrame*);
extern "C" __attribute__((visibility("default"))) XLA_FFI_Error* jaxcpp_respond_cuda(XLA_FFI_CallFrame*);

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxcpp_follow_cuda, Follow, with_arrays(on_device()));
XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxcpp_respond_cuda, Respond, with_questions(on_device()));

extern "C" {

// What the sources hashed to when this was built.
__attribute__((visibility("default"))) const char* jaxcpp_cuda_fingerprint() { return JAXCPP_FINGERPRINT; }
}
