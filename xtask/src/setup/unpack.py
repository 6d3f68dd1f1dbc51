"""Unpacks the parts of the wheels that C++ programs need, and prints the percentage done.

The libraries for CUDA and for Python are left out: half of the size, and torch-sys links CUDA wherever libtorch_cuda lies.
"""

import fnmatch
import os
import sys
import zipfile

KEEP = (
    "torch/lib/*",
    "torch/include/*",
    "torch/version.py",
    "nvidia/*/lib/libcudart.so*",
    "nvidia/*/lib/libcupti.so*",
    "*.dist-info/licenses/*",
)
DROP = tuple(
    "torch/lib/lib%s*" % name
    for name in ("torch_cuda", "torch_python", "torch_nvshmem", "c10_cuda", "caffe2_nvrtc", "shm")
)


def wanted(name):
    kept = any(fnmatch.fnmatchcase(name, pattern) for pattern in KEEP)
    return kept and not any(fnmatch.fnmatchcase(name, pattern) for pattern in DROP)


def main(wheels, target):
    members = []
    for wheel in sorted(os.listdir(wheels)):
        archive = zipfile.ZipFile(os.path.join(wheels, wheel))
        members += [(archive, member) for member in archive.infolist() if not member.is_dir() and wanted(member.filename)]
    total = sum(member.file_size for _, member in members)
    done = 0
    for archive, member in members:
        archive.extract(member, target)
        done += member.file_size
        print(done * 100 // total, flush=True)


main(*sys.argv[1:])
