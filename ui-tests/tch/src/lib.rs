//! Only tests: what the compiler says about misuse where tensors are concerned. A package of its own, because it needs libtorch.
