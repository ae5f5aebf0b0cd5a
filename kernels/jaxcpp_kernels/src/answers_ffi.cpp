// The CPU's door to XLA for questions to one side.
#include "questions.h"

namespace {

ffi::Error Respond(JAXCPP_ASKED_ARGUMENTS) {
  Questions batch;
  if (!JAXCPP_ASKED.fits(&batch)) return misfit();
  return jaxcpp::respond(batch, threads) ? ffi::Error::Success() : no_memory();
}

}  // namespace

extern "C" __attribute__((visibility("default"))) XLA_FFI_Error* jaxcpp_respond(XLA_FFI_CallFrame*);

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxcpp_respond, Respond, with_questions(ffi::Ffi::Bind()));
