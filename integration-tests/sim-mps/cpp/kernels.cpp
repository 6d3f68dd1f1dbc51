// The MPS key's kernels: allocation, and one boxed kernel for everything else.
#include <string>
#include <unordered_set>

#include <ATen/EmptyTensor.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>
#include <c10/util/Exception.h>
#include <torch/library.h>

#include "device.h"
#include "lend.h"
#include "orders.h"

namespace sim_mps {
namespace {

using c10::DispatchKey;
using c10::DispatchKeySet;
using c10::IValue;
using torch::jit::Stack;

std::string full(const c10::OperatorName& name) {
  return name.overload_name.empty() ? name.name : name.name + "." + name.overload_name;
}

bool is_copy(const std::string& name) {
  return name == "aten::copy_" || name == "aten::_copy_from" || name == "aten::_copy_from_and_resize";
}

// Operators that take index or length tensors from the host, or whose business it is to cross devices.
bool may_mix(const std::string& name) {
  return is_copy(name) || name.rfind("aten::index", 0) == 0 || name.rfind("aten::_index_put", 0) == 0 ||
      name.rfind("aten::_unsafe_index", 0) == 0;
}

IValue lend(Lend& loan, const IValue& value) {
  if (value.isTensor()) return loan.out(value.toTensor());
  if (value.isStorage()) return loan.out(value.toStorage());
  if (value.isDevice()) return value.toDevice().is_mps() ? c10::Device(c10::DeviceType::CPU) : value.toDevice();
  if (value.isTensorList()) {
    auto list = value.toTensorList().copy();
    for (std::size_t i = 0; i < list.size(); ++i) list.set(i, loan.out(list.get(i)));
    return list;
  }
  if (value.isOptionalTensorList()) {
    auto list = value.toOptionalTensorList().copy();
    for (std::size_t i = 0; i < list.size(); ++i) {
      std::optional<at::Tensor> item = list.get(i);
      if (item) list.set(i, loan.out(*item));
    }
    return list;
  }
  return value;
}

IValue bring_home(Lend& loan, const IValue& value) {
  if (value.isTensor()) return loan.home(value.toTensor());
  if (value.isTensorList()) {
    auto list = value.toTensorList().copy();
    for (std::size_t i = 0; i < list.size(); ++i) list.set(i, loan.home(list.get(i)));
    return list;
  }
  return value;
}

void check_placement(const c10::OperatorHandle& op, const Lend& loan) {
  if (!loan.saw_host() || !loan.saw_device() || may_mix(op.operator_name().name)) return;
  raise("Placeholder", "aten/src/ATen/native/mps/OperationUtils.mm", 530, "Placeholder storage has not been allocated on MPS device!");
}

// Reading a strided view gathers it into a buffer on the device first, which can fail for want of memory.
void gather(const at::Tensor& source) {
  if (!source.is_contiguous()) allocator()->allocate(source.nbytes());
}

void count_transfer(const std::string& name, const at::Tensor& to, const at::Tensor& from) {
  if (!is_copy(name) || to.is_mps() == from.is_mps()) return;
  count(to.is_mps() ? Transfer::ToDevice : Transfer::FromDevice);
  if (from.is_mps()) gather(from);
}

void note_transfer(const c10::OperatorHandle& op, const Stack& stack, std::size_t begin) {
  const auto& name = op.operator_name().name;
  if (name == "aten::_local_scalar_dense") {
    count(Transfer::FromDevice);
  } else if (name == "aten::copy_") {
    count_transfer(name, stack[begin].toTensor(), stack[begin + 1].toTensor());
  } else if (is_copy(name)) {
    count_transfer(name, stack[begin + 1].toTensor(), stack[begin].toTensor());
  }
}

void lend_arguments(const c10::OperatorHandle& op, Lend& loan, Stack& stack, std::size_t begin) {
  const auto& arguments = op.schema().arguments();
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    auto& value = stack[begin + i];
    if (value.isNone() && arguments[i].name() == "generator") {
      value = generator();
    } else {
      value = lend(loan, value);
    }
  }
}

void results_home(Lend& loan, Stack& stack, std::size_t begin) {
  for (std::size_t i = begin; i < stack.size(); ++i) stack[i] = bring_home(loan, stack[i]);
  loan.settle();
}

// Runs the CPU's kernel over the device's memory. `at::native::cpu_fallback` copies instead, and so loses what a kernel writes
// without saying so in its schema (batch norm's running statistics), aliases between arguments, and strides (the order of sums).
void simulate(const c10::OperatorHandle& op, Stack* stack) {
  enter(op.operator_name().name, full(op.operator_name()));
  const auto begin = stack->size() - op.schema().arguments().size();
  note_transfer(op, *stack, begin);
  Lend loan;
  lend_arguments(op, loan, *stack, begin);
  check_placement(op, loan);
  if (memory_is_limited()) loan.remember();
  op.redispatchBoxed(DispatchKeySet(DispatchKey::CPU), stack);
  try {
    results_home(loan, *stack, begin);
  } catch (...) {
    loan.restore();
    throw;
  }
}

at::ScalarType dtype_of(std::optional<at::ScalarType> dtype) {
  const auto type = c10::dtype_or_default(dtype);
  if (type == at::kDouble) refuse_float64();
  return type;
}

at::Tensor empty(
    at::IntArrayRef size,
    std::optional<at::ScalarType> dtype,
    std::optional<at::Layout>,
    std::optional<at::Device>,
    std::optional<bool>,
    std::optional<at::MemoryFormat> format) {
  enter("aten::empty", "aten::empty.memory_format");
  return at::detail::empty_generic(size, allocator(), DispatchKeySet(DispatchKey::MPS), dtype_of(dtype), format);
}

at::Tensor empty_strided(
    at::IntArrayRef size,
    at::IntArrayRef stride,
    std::optional<at::ScalarType> dtype,
    std::optional<at::Layout>,
    std::optional<at::Device>,
    std::optional<bool>) {
  enter("aten::empty_strided", "aten::empty_strided");
  return at::detail::empty_strided_generic(size, stride, allocator(), DispatchKeySet(DispatchKey::MPS), dtype_of(dtype));
}

// These two have no CPU kernel: they are `copy_` the other way round.
void copy_over(const char* name, const at::Tensor& from, const at::Tensor& to) {
  enter(name, name);
  count_transfer(name, to, from);
  Lend loan;
  auto target = loan.out(to);
  auto source = loan.out(from);
  if (std::string(name) == "aten::_copy_from_and_resize") target.resize_(source.sizes());
  target.copy_(source);
  loan.settle();
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool) {
  copy_over("aten::_copy_from", from, to);
  return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  copy_over("aten::_copy_from_and_resize", from, to);
  return to;
}

torch::CppFunction simulated() {
  return torch::CppFunction::makeFromBoxedFunction<&simulate>();
}

// A composite kernel takes precedence over the fallback, and differs from the CPU's own kernel in its last bits or its choice of
// algorithm. What the CPU has a kernel of its own for is simulated. (Structured operators are left to libtorch: their default runs
// the checks of devices and shapes, and then the `out` form.)
void take_over_composites(torch::Library& library) {
  auto& dispatcher = c10::Dispatcher::singleton();
  for (const auto& name : dispatcher.getAllOpNames()) {
    if (name.name.rfind("aten::", 0) != 0) continue;
    const auto op = dispatcher.findOp(name);
    if (!op || !op->hasKernelForDispatchKey(DispatchKey::CPU) || op->hasKernelForDispatchKey(DispatchKey::MPS)) continue;
    const bool composite = op->hasKernelForDispatchKey(DispatchKey::CompositeExplicitAutograd) ||
        op->hasKernelForDispatchKey(DispatchKey::CompositeImplicitAutograd);
    if (composite) library.impl(full(name).c_str(), simulated());
  }
}

TORCH_LIBRARY_IMPL(aten, MPS, library) {
  library.impl("empty.memory_format", TORCH_FN(empty));
  library.impl("empty_strided", TORCH_FN(empty_strided));
  library.impl("_copy_from", TORCH_FN(copy_from));
  library.impl("_copy_from_and_resize", TORCH_FN(copy_from_and_resize));
  // Composite kernels that branch on the device, and know no such device.
  for (const char* name : {"copy_", "convolution", "convolution_backward"}) library.impl(name, simulated());
  take_over_composites(library);
}

TORCH_LIBRARY_IMPL(_, MPS, library) {
  library.fallback(simulated());
}

} // namespace
} // namespace sim_mps

// Called by Rust, so that the linker keeps the static registrations of this library.
extern "C" void sim_mps_load() noexcept {
  sim_mps::register_device();
}

// Whether the dispatcher has an operator of this name (without overload).
extern "C" bool sim_mps_knows(const char* wanted) noexcept {
  for (const auto& name : c10::Dispatcher::singleton().getAllOpNames()) {
    if (name.name == wanted) return true;
  }
  return false;
}
