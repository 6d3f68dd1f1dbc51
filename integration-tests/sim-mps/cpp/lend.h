// One operator's stay on the host: device tensors lent to a CPU kernel over the same memory, results brought home.
#pragma once

#include <cstdint>
#include <unordered_set>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/core/Storage.h>

namespace sim_mps {

class Lend {
 public:
  // A CPU tensor over the device tensor's memory: same sizes, strides, offset; tensors that share storage go on sharing it.
  at::Tensor out(const at::Tensor& tensor);
  c10::Storage out(const c10::Storage& storage);
  // A result as the caller sees it: the tensor that was lent, a view of lent memory, or a fresh device tensor.
  at::Tensor home(const at::Tensor& result);
  // Carries sizes and storages that the kernel changed (resize_, set_) back to the device tensors.
  void settle();
  // The lent memory as it was, for a kernel that wrote before its results found no room.
  void remember();
  void restore() noexcept;

  bool saw_device() const { return !tensors_.empty(); }
  // Tensors that were on the host already and are more than a number.
  bool saw_host() const { return saw_host_; }

 private:
  c10::Storage home(const c10::Storage& host);

  struct Tensors {
    at::Tensor device, host;
  };
  struct Storages {
    c10::Storage device, host;
  };
  std::vector<Tensors> tensors_;
  std::vector<Storages> lent_;
  std::vector<Storages> fresh_;
  std::unordered_set<const c10::StorageImpl*> callers_host_;
  std::vector<std::pair<void*, std::vector<char>>> remembered_;
  bool saw_host_ = false;
};

} // namespace sim_mps
