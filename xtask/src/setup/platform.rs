//! Which wheels hold libtorch for this machine. All that changes with a new version of tch is here and in `VERSION`.

use std::env::consts::{ARCH, OS};

use super::by_hand;
use crate::problem::Done;

/// A wheel that pip fetches: an exact version, and the hash of the one file that fits.
pub struct Wheel {
    requirement: &'static str,
    sha256: &'static str,
}

/// Where libtorch runs, as wheels are tagged.
pub struct Platform {
    os: &'static str,
    arch: &'static str,
    tags: &'static [&'static str],
    wheels: &'static [Wheel],
}

/// `libtorch_cpu` of the Linux wheels is linked with the CUDA runtime and with CUPTI: small, and enough to load it without a GPU.
const ALL: [Platform; 3] = [
    Platform {
        os: "linux",
        arch: "x86_64",
        tags: &["manylinux_2_28_x86_64", "manylinux_2_25_x86_64", "manylinux_2_17_x86_64"],
        wheels: &[
            Wheel { requirement: "torch==2.13.0", sha256: "60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7" },
            Wheel {
                requirement: "nvidia-cuda-runtime==13.0.96",
                sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
            },
            Wheel { requirement: "nvidia-cuda-cupti==13.0.85", sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8" },
        ],
    },
    Platform {
        os: "linux",
        arch: "aarch64",
        tags: &["manylinux_2_28_aarch64", "manylinux_2_25_aarch64", "manylinux_2_17_aarch64"],
        wheels: &[
            Wheel { requirement: "torch==2.13.0", sha256: "092790c696a760c729fd5722835f50b9d81fd7c8f141571f3f3cf4081a8f664c" },
            Wheel {
                requirement: "nvidia-cuda-runtime==13.0.96",
                sha256: "ef9bcbe90493a2b9d810e43d249adb3d02e98dd30200d86607d8d02687c43f55",
            },
            Wheel { requirement: "nvidia-cuda-cupti==13.0.85", sha256: "796bd679890ee55fb14a94629b698b6db54bcfd833d391d5e94017dd9d7d3151" },
        ],
    },
    Platform {
        os: "macos",
        arch: "aarch64",
        tags: &["macosx_14_0_arm64"],
        wheels: &[Wheel { requirement: "torch==2.13.0", sha256: "e76f9bcecc52b8ff711239a2f7547d5353df95878ab232f0773c1d95928b92f8" }],
    },
];

impl Platform {
    /// This machine's.
    pub fn here() -> Done<&'static Self> {
        if cfg!(target_env = "musl") {
            return Err(by_hand("there is no ready libtorch for Linux with musl: the published wheels are linked with glibc"));
        }
        Self::of(OS, ARCH)
    }

    fn of(os: &str, arch: &str) -> Done<&'static Self> {
        ALL.iter().find(|platform| platform.os == os && platform.arch == arch).ok_or_else(|| {
            let known: Vec<String> = ALL.iter().map(Platform::name).collect();
            by_hand(format!("there is no ready libtorch for {os}-{arch}; wheels exist for {}", known.join(", ")))
        })
    }

    /// `linux-x86_64`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.os, self.arch)
    }

    /// pip's requirements file: exact versions with hashes, so that pip refuses any other file.
    pub fn requirements(&self) -> String {
        self.wheels.iter().map(|Wheel { requirement, sha256 }| format!("{requirement} --hash=sha256:{sha256}\n")).collect()
    }

    /// pip's options that choose one wheel, whatever Python runs pip: only the libraries inside it matter.
    pub fn options(&self) -> Vec<&'static str> {
        let mut options = vec!["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--abi", "none"];
        for tag in self.tags {
            options.extend(["--platform", tag]);
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::super::VERSION;
    use super::{ALL, Platform};

    #[test]
    fn every_platform_fetches_the_version_that_setup_looks_for() {
        for platform in &ALL {
            assert!(platform.requirements().starts_with(&format!("torch=={VERSION} --hash=sha256:")), "{}", platform.name());
        }
    }

    #[test]
    fn every_wheel_has_a_whole_hash() {
        for line in ALL.iter().flat_map(|platform| platform.requirements().lines().map(str::to_owned).collect::<Vec<_>>()) {
            let hash = line.rsplit(':').next().expect("a line ends with its hash");
            assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
        }
    }

    #[test]
    fn a_platform_without_wheels_is_told_how_to_bring_its_own() {
        let problem = Platform::of("macos", "x86_64").err().expect("Intel Macs have no wheel").to_string();
        assert!(problem.contains("no ready libtorch for macos-x86_64"), "{problem}");
        assert!(problem.contains("LIBTORCH=/path/to/libtorch cargo xtask setup"), "{problem}");
    }
}
