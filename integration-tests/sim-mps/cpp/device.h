// The device as libtorch's core sees it: memory, guard, hooks, random numbers.
#pragma once

#include <ATen/core/Generator.h>
#include <c10/core/Allocator.h>

namespace sim_mps {

c10::Allocator* allocator();
// The device's own stream of random numbers: a second CPU generator, so that a seed gives the CPU's numbers.
const at::Generator& generator();
// Keeps this file's registrations in the binary.
void register_device();

} // namespace sim_mps
