#include "lend.h"

#include <cstring>
#include <string>

#include <ATen/core/TensorBody.h>
#include <c10/core/CPUAllocator.h>

#include "device.h"
#include "orders.h"

namespace sim_mps {
namespace {

at::Tensor over(c10::Storage storage, c10::DispatchKey key, const at::Tensor& like) {
  auto tensor = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(key), like.dtype());
  auto* impl = tensor.unsafeGetTensorImpl();
  impl->set_sizes_and_strides(like.sizes(), like.strides(), like.storage_offset());
  if (like.is_conj()) impl->_set_conj(true);
  if (like.is_neg()) impl->_set_neg(true);
  if (like.unsafeGetTensorImpl()->is_wrapped_number()) impl->set_wrapped_number(true);
  return tensor;
}

void refuse(const at::Tensor& result) {
  if (result.layout() != c10::kStrided || result.is_quantized()) {
    raise(
        "reportError",
        "aten/src/ATen/core/dispatch/OperatorEntry.cpp",
        633,
        std::string("Could not run 'aten::empty.memory_format' with arguments from the '") +
            (result.is_quantized() ? "QuantizedMPS" : "SparseMPS") +
            "' backend. This could be because the operator doesn't exist for this backend, or was omitted during the selective/custom "
            "build process (if using custom build).");
  }
  if (result.scalar_type() == at::kDouble) refuse_float64();
}

} // namespace

c10::Storage Lend::out(const c10::Storage& storage) {
  for (const auto& pair : lent_) {
    if (pair.device.unsafeGetStorageImpl() == storage.unsafeGetStorageImpl()) return pair.host;
  }
  // No deleter: the device's storage owns the memory, and outlives the call on the caller's stack.
  c10::DataPtr borrowed(storage.mutable_data(), c10::Device(c10::DeviceType::CPU));
  c10::Storage host(c10::Storage::use_byte_size_t(), storage.nbytes(), std::move(borrowed), c10::GetCPUAllocator(), /*resizable=*/true);
  lent_.push_back({storage, host});
  return host;
}

at::Tensor Lend::out(const at::Tensor& tensor) {
  if (!tensor.defined()) return tensor;
  if (!tensor.is_mps()) {
    if (tensor.has_storage()) callers_host_.insert(tensor.storage().unsafeGetStorageImpl());
    saw_host_ |= tensor.is_cpu() && tensor.dim() > 0;
    return tensor;
  }
  for (const auto& pair : tensors_) {
    if (pair.device.is_same(tensor)) return pair.host;
  }
  auto host = over(out(tensor.storage()), c10::DispatchKey::CPU, tensor);
  tensors_.push_back({tensor, host});
  return host;
}

c10::Storage Lend::home(const c10::Storage& host) {
  for (const auto* pairs : {&lent_, &fresh_}) {
    for (const auto& pair : *pairs) {
      if (pair.host.unsafeGetStorageImpl() == host.unsafeGetStorageImpl()) return pair.device;
    }
  }
  auto memory = allocator()->allocate(host.nbytes());
  if (host.nbytes() != 0) std::memcpy(memory.get(), host.data(), host.nbytes());
  c10::Storage device(c10::Storage::use_byte_size_t(), host.nbytes(), std::move(memory), allocator(), /*resizable=*/true);
  fresh_.push_back({device, host});
  return device;
}

at::Tensor Lend::home(const at::Tensor& result) {
  if (!result.defined() || !result.is_cpu()) return result;
  for (const auto& pair : tensors_) {
    if (pair.host.is_same(result)) return pair.device;
  }
  if (result.has_storage() && callers_host_.count(result.storage().unsafeGetStorageImpl()) != 0) return result;
  refuse(result);
  return over(home(result.storage()), c10::DispatchKey::MPS, result);
}

void Lend::settle() {
  for (auto& [device, host] : lent_) {
    if (host.data() == device.data() && host.nbytes() == device.nbytes()) continue;
    if (host.data() != device.data() && host.data() != nullptr) {
      auto memory = allocator()->allocate(host.nbytes());
      std::memcpy(memory.get(), host.data(), host.nbytes());
      device.unsafeGetStorageImpl()->set_data_ptr_noswap(std::move(memory));
    }
    device.set_nbytes(host.nbytes());
  }
  for (auto& [device, host] : tensors_) {
    auto* impl = device.unsafeGetTensorImpl();
    auto storage = home(host.storage());
    if (storage.unsafeGetStorageImpl() != device.storage().unsafeGetStorageImpl()) impl->set_storage_keep_dtype(std::move(storage));
    const bool same = device.sizes() == host.sizes() && device.strides() == host.strides() && device.storage_offset() == host.storage_offset();
    if (!same) impl->set_sizes_and_strides(host.sizes(), host.strides(), host.storage_offset());
  }
}

void Lend::remember() {
  for (const auto& pair : lent_) {
    auto* start = static_cast<char*>(pair.device.mutable_data());
    remembered_.emplace_back(start, std::vector<char>(start, start + pair.device.nbytes()));
  }
}

void Lend::restore() noexcept {
  for (const auto& [start, bytes] : remembered_) {
    if (!bytes.empty()) std::memcpy(start, bytes.data(), bytes.size());
  }
}

} // namespace sim_mps
