//! The two builds of libtorch, and the parts of each archive that are needed.

use std::path::{Path, PathBuf};

/// A build of libtorch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Only the CPU library.
    Cpu,
    /// The CPU and the CUDA library.
    Cuda,
}

impl Variant {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }

    /// The name of the link in `target/`.
    pub(super) fn link(self) -> &'static str {
        match self {
            Self::Cpu => "libtorch",
            Self::Cuda => "libtorch-cuda",
        }
    }

    /// The folder of libtorch inside an installation. The CUDA libraries look for other libraries at `../../nvidia`.
    pub(super) fn inside(self, folder: &Path) -> PathBuf {
        match self {
            Self::Cpu => folder.to_owned(),
            Self::Cuda => folder.join("torch"),
        }
    }

    /// The libraries whose presence shows that libtorch is complete.
    pub(super) fn libraries(self) -> &'static [&'static str] {
        match self {
            Self::Cpu => &["libtorch_cpu.so", "libc10.so", "libtorch.so"],
            Self::Cuda => &["libtorch_cpu.so", "libc10.so", "libtorch.so", "libtorch_cuda.so", "libc10_cuda.so"],
        }
    }

    /// The wheels, with their digests.
    pub(super) fn requirements(self) -> PathBuf {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/setup");
        folder.join(format!("libtorch-{}.txt", self.name()))
    }

    /// The files to unpack from the wheels, and their targets.
    pub(super) fn wheel_members(self) -> &'static [&'static str] {
        match self {
            Self::Cpu => &[
                "torch/include/=include/",
                "torch/lib/libtorch_cpu.so=lib/libtorch_cpu.so",
                "torch/lib/libc10.so=lib/libc10.so",
                "torch/lib/libtorch.so=lib/libtorch.so",
                "torch/lib/libgomp.so.1=lib/libgomp.so.1",
                "nvidia/cu13/lib/libcudart.so.13=lib/libcudart.so.13",
                "nvidia/cu13/lib/libcupti.so.13=lib/libcupti.so.13",
            ],
            Self::Cuda => &[
                "torch/include/=torch/include/",
                "torch/lib/=torch/lib/",
                "nvidia/cu13/include/=nvidia/cu13/include/",
                "nvidia/cu13/lib/=nvidia/cu13/lib/",
                "nvidia/cudnn/lib/=nvidia/cudnn/lib/",
                "nvidia/cusparselt/lib/=nvidia/cusparselt/lib/",
                "nvidia/nccl/include/=nvidia/nccl/include/",
                "nvidia/nccl/lib/=nvidia/nccl/lib/",
                "nvidia/nvshmem/lib/=nvidia/nvshmem/lib/",
            ],
        }
    }

    /// PyTorch's own archive, the fallback without a package index.
    pub(super) fn zip_url(self) -> &'static str {
        match self {
            Self::Cpu => "https://download.pytorch.org/libtorch/cpu/libtorch-shared-with-deps-2.13.0%2Bcpu.zip",
            Self::Cuda => "https://download.pytorch.org/libtorch/cu130/libtorch-shared-with-deps-2.13.0%2Bcu130.zip",
        }
    }

    /// The files to unpack from that archive, and their targets.
    pub(super) fn zip_members(self) -> &'static [&'static str] {
        match self {
            Self::Cpu => &["libtorch/include/=include/", "libtorch/lib/=lib/"],
            Self::Cuda => &["libtorch/include/=torch/include/", "libtorch/lib/=torch/lib/"],
        }
    }

    /// The download, in megabytes.
    pub(super) fn download_megabytes(self) -> u64 {
        match self {
            Self::Cpu => 540,
            Self::Cuda => 2_500,
        }
    }

    /// The free disk space needed to install it, in megabytes: twice the download (pip copies it), and the unpacked files.
    pub(super) fn disk_megabytes(self) -> u64 {
        match self {
            Self::Cpu => 1_700,
            Self::Cuda => 9_000,
        }
    }
}
