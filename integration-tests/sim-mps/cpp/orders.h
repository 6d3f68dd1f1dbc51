// What tests order and what the device counts. Everything here is process-wide: backward runs on a thread of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace sim_mps {

// Counts one operator under the MPS key, and raises what was ordered for it.
void enter(const std::string& name, const std::string& full_name);

// Counts one transfer between host and device.
enum class Transfer { ToDevice, FromDevice };
void count(Transfer direction);

// Books `bytes` of device memory, or raises the real backend's "out of memory".
void reserve(std::size_t bytes);
void release(std::size_t bytes) noexcept;
// An order about memory is in force: operators must be able to undo what they wrote.
bool memory_is_limited();

// Raises `text` as a c10 error with the given raise site, so that tch sees head, "Exception raised from" and frames.
[[noreturn]] void raise(const char* function, const char* file, std::uint32_t line, const std::string& text);
// The refusal of a dtype that Metal has no type for.
[[noreturn]] void refuse_float64();

} // namespace sim_mps
