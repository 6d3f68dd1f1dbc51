#include "device.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/MPSHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include "orders.h"

namespace sim_mps {
namespace {

const c10::Device kDevice(c10::DeviceType::MPS, 0);
// The CPU allocator's alignment: vector kernels must see the same edges.
constexpr std::size_t kAlignment = 64;

struct Block {
  void* start;
  std::size_t bytes;
};

void free_block(void* context) {
  auto* block = static_cast<Block*>(context);
  release(block->bytes);
  std::free(block->start);
  delete block;
}

struct HostMemory final : c10::Allocator {
  c10::DataPtr allocate(std::size_t bytes) override {
    if (bytes == 0) return {nullptr, kDevice};
    reserve(bytes);
    void* start = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
    if (start == nullptr) {
      release(bytes);
      throw std::bad_alloc();
    }
    return {start, new Block{start, bytes}, &free_block, kDevice};
  }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
};

// One device, one stream, everything done when the call returns.
struct Guard final : c10::impl::DeviceGuardImplInterface {
  Guard() = default;
  explicit Guard(c10::DeviceType) {}
  c10::DeviceType type() const override { return c10::DeviceType::MPS; }
  c10::Device exchangeDevice(c10::Device) const override { return kDevice; }
  c10::Device getDevice() const override { return kDevice; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const noexcept override { return stream(); }
  c10::Stream getDefaultStream(c10::Device) const override { return stream(); }
  c10::Stream getStreamFromGlobalPool(c10::Device, bool) const override { return stream(); }
  c10::Stream getNewStream(c10::Device, int) const override { return stream(); }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return stream(); }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void**, const c10::Stream&, c10::DeviceIndex, c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void synchronizeEvent(void*) const override {}
  void synchronizeDevice(c10::DeviceIndex) const override {}

 private:
  static c10::Stream stream() { return c10::Stream(c10::Stream::DEFAULT, kDevice); }
};

struct Hooks final : at::MPSHooksInterface {
  void init() const override {}
  bool hasMPS() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool isOnMacOSorNewer(unsigned, unsigned) const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  void setCurrentDevice(c10::DeviceIndex) const override {}
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::Device getDeviceFromPtr(void*) const override { return kDevice; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override { return generator(); }
  at::Generator getNewGenerator(c10::DeviceIndex) const override { return at::detail::createCPUGenerator(); }
  c10::Allocator* getMPSDeviceAllocator() const override { return allocator(); }
  void deviceSynchronize() const override {}
  void emptyCache() const override {}
};

C10_REGISTER_GUARD_IMPL(MPS, Guard)

} // namespace

c10::Allocator* allocator() {
  static HostMemory& the = *new HostMemory();
  return &the;
}

const at::Generator& generator() {
  static const at::Generator& the = *new at::Generator(at::detail::createCPUGenerator());
  return the;
}

void register_device() {}

} // namespace sim_mps

namespace at {
namespace {
using SimulatedHooks = sim_mps::Hooks;
C10_REGISTER_CLASS(MPSHooksRegistry, MPSHooks, SimulatedHooks)
} // namespace
} // namespace at
