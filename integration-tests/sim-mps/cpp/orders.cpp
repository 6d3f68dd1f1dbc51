#include "orders.h"

#include <array>
#include <cstdio>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include <c10/util/Exception.h>

namespace sim_mps {
namespace {

struct Repeat {
  std::uint64_t every;
  std::uint64_t since;
  std::string text;
};

struct State {
  std::mutex lock;
  std::set<std::string> unimplemented;
  std::map<std::uint64_t, std::string> fail_at;
  std::optional<Repeat> repeat;
  std::optional<std::uint64_t> max_live;
  std::uint64_t dispatched = 0;
  std::uint64_t raised = 0;
  std::uint64_t to_device = 0;
  std::uint64_t from_device = 0;
  std::uint64_t live = 0;
};

// Never destroyed: tensors of the application may outlive every static.
State& state() {
  static State& the = *new State();
  return the;
}

std::string unimplemented_text(const std::string& full_name) {
  return "The operator '" + full_name +
      "' is not currently implemented for the MPS device. If you want this op to be considered for addition please comment on "
      "https://github.com/pytorch/pytorch/issues/141287 and mention use-case, that resulted in missing op as well as commit hash "
      "cf30153c4c131c8164ee7798e5022d810682e2cb. As a temporary fix, you can set the environment variable "
      "`PYTORCH_ENABLE_MPS_FALLBACK=1` to use the CPU as a fallback for this op. WARNING: this will be slower than running natively on "
      "MPS.";
}

// As MPSAllocator's format_size.
std::string size_text(std::uint64_t bytes) {
  static constexpr std::array<const char*, 3> units = {"KB", "MB", "GB"};
  if (bytes <= 1024) return std::to_string(bytes) + " bytes";
  double value = static_cast<double>(bytes) / 1024.0;
  std::size_t unit = 0;
  for (; value > 1024.0 && unit + 1 < units.size(); ++unit) value /= 1024.0;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2f %s", value, units[unit]);
  return text.data();
}

std::string out_of_memory_text(std::uint64_t live, std::uint64_t max, std::uint64_t bytes) {
  return "MPS backend out of memory (MPS allocated: " + size_text(live) + ", other allocations: 0 bytes, max allowed: " + size_text(max) +
      "). Tried to allocate " + size_text(bytes) +
      " on private pool. Use PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.0 to disable upper limit for memory allocations (may cause system "
      "failure).";
}

// The text ordered for the operator that was just counted.
std::optional<std::string> ordered(State& s, const std::string& name, const std::string& full_name) {
  if (s.unimplemented.count(name) != 0) return unimplemented_text(full_name);
  if (auto found = s.fail_at.find(s.dispatched); found != s.fail_at.end()) return found->second;
  if (s.repeat && (s.dispatched - s.repeat->since) % s.repeat->every == 0) return s.repeat->text;
  return std::nullopt;
}

} // namespace

void enter(const std::string& name, const std::string& full_name) {
  std::optional<std::string> text;
  {
    State& s = state();
    const std::lock_guard<std::mutex> held(s.lock);
    ++s.dispatched;
    text = ordered(s, name, full_name);
    if (text) ++s.raised;
  }
  if (text) raise("mps_error_fallback", "aten/src/ATen/mps/MPSFallback.mm", 40, *text);
}

void count(Transfer direction) {
  State& s = state();
  const std::lock_guard<std::mutex> held(s.lock);
  ++(direction == Transfer::ToDevice ? s.to_device : s.from_device);
}

void reserve(std::size_t bytes) {
  std::optional<std::string> text;
  {
    State& s = state();
    const std::lock_guard<std::mutex> held(s.lock);
    if (s.max_live && s.live + bytes > *s.max_live) {
      text = out_of_memory_text(s.live, *s.max_live, bytes);
      ++s.raised;
    } else {
      s.live += bytes;
    }
  }
  if (text) raise("malloc", "aten/src/ATen/mps/MPSAllocator.mm", 319, *text);
}

void release(std::size_t bytes) noexcept {
  State& s = state();
  const std::lock_guard<std::mutex> held(s.lock);
  s.live -= bytes;
}

bool memory_is_limited() {
  State& s = state();
  const std::lock_guard<std::mutex> held(s.lock);
  return s.max_live.has_value();
}

void raise(const char* function, const char* file, std::uint32_t line, const std::string& text) {
  throw c10::Error(c10::SourceLocation{function, file, line}, text);
}

void refuse_float64() {
  raise(
      "empty_mps",
      "aten/src/ATen/mps/EmptyTensor.cpp",
      49,
      "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64. Please use float32 instead.");
}

} // namespace sim_mps

// The orders as Rust gives them. None of these throws anything but out of host memory, which ends the process (noexcept).
extern "C" {

void sim_mps_unimplemented(const char* name) noexcept {
  auto& s = sim_mps::state();
  const std::lock_guard<std::mutex> held(s.lock);
  s.unimplemented.insert(name);
}

void sim_mps_out_of_memory_after(std::uint64_t bytes) noexcept {
  auto& s = sim_mps::state();
  const std::lock_guard<std::mutex> held(s.lock);
  s.max_live = bytes > UINT64_MAX - s.live ? UINT64_MAX : s.live + bytes;
}

void sim_mps_fail_at(std::uint64_t k, const char* text) noexcept {
  auto& s = sim_mps::state();
  const std::lock_guard<std::mutex> held(s.lock);
  s.fail_at[s.dispatched + k] = text;
}

void sim_mps_fail_every(std::uint64_t n, const char* text) noexcept {
  auto& s = sim_mps::state();
  const std::lock_guard<std::mutex> held(s.lock);
  s.repeat = sim_mps::Repeat{n, s.dispatched, text};
}

void sim_mps_reset() noexcept {
  auto& s = sim_mps::state();
  const std::lock_guard<std::mutex> held(s.lock);
  s.unimplemented.clear();
  s.fail_at.clear();
  s.repeat.reset();
  s.max_live.reset();
  s.dispatched = s.raised = s.to_device = s.from_device = 0;
}

struct sim_mps_counts {
  std::uint64_t dispatched, raised, to_device, from_device, live_bytes;
};

void sim_mps_read_counts(sim_mps_counts* out) noexcept {
  auto& s = sim_mps::state();
  const std::lock_guard<std::mutex> held(s.lock);
  *out = {s.dispatched, s.raised, s.to_device, s.from_device, s.live};
}
}
