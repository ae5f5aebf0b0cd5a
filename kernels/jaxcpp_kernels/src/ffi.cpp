// The CPU's door to XLA.
#include "call.h"

namespace {

ffi::Error Follow(JAXCPP_CALL_ARGUMENTS) {
  Batch batch;
  if (!JAXCPP_CALL.fits(&batch)) return misfit();
  return jaxcpp::solve(batch, threads) ? ffi::Error::Success() : no_memory();
}

}  // namespace

extern "C" __attribute__((visibility("default"))) XLA_FFI_Error* jaxcpp_follow(XLA_FFI_CallFrame*);

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxcpp_follow, Follow, with_arrays(ffi::Ffi::Bind()));

extern "C" {

// What the sources hashed to when this was built.
__attribute__((visibility("default"))) const char* jaxcpp_fingerprint() { return JAXCPP_FINGERPRINT; }

__attribute__((visibility("default"))) int jaxcpp_instruction_set() { return jaxcpp::instruction_set(); }
}
