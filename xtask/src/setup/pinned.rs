//! The wheels that libtorch is laid out from: names, versions, sizes and SHA-256, and what is kept of each.

use super::layout::Kind;

/// A file of the package index.
#[derive(Debug)]
pub(super) struct Wheel {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) file: &'static str,
    pub(super) bytes: u64,
    pub(super) sha256: &'static str,
}

/// The platform tags of all these files.
pub(super) const PLATFORMS: [&str; 6] = [
    "manylinux2014_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux_2_18_x86_64",
    "manylinux_2_25_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux_2_28_x86_64",
];

/// The wheels of a build, each with the patterns of what is kept of it.
pub(super) fn wheels(kind: Kind) -> Vec<(&'static Wheel, &'static [&'static str])> {
    match kind {
        // libtorch_cpu.so of this wheel needs two CUDA libraries even where there is no GPU.
        Kind::Cpu => vec![
            (
                &TORCH,
                &[
                    "torch/include/*",
                    "torch/lib/libtorch_cpu.so",
                    "torch/lib/libc10.so",
                    "torch/lib/libgomp.so.1",
                ],
            ),
            (&CUDA_RUNTIME, &["nvidia/*/lib/libcudart.so.13"]),
            (&CUDA_CUPTI, &["nvidia/*/lib/libcupti.so.13"]),
        ],
        Kind::Cuda => {
            let libraries: &[&str] = &["nvidia/*/lib/*.so*"];
            let mut wheels: Vec<(&Wheel, &[&str])> = vec![(&TORCH, &["torch/include/*", "torch/lib/*.so*"])];
            wheels.extend([&CUDA_RUNTIME, &CUDA_CUPTI].map(|wheel| (wheel, libraries)));
            wheels.extend(CUDA.iter().map(|wheel| (wheel, libraries)));
            wheels
        }
    }
}

static TORCH: Wheel = Wheel {
    name: "torch",
    version: "2.13.0",
    file: "torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    bytes: 526_574_961,
    sha256: "60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7",
};

static CUDA_CUPTI: Wheel = Wheel {
    name: "nvidia-cuda-cupti",
    version: "13.0.85",
    file: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
    bytes: 10_715_597,
    sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
};

static CUDA_RUNTIME: Wheel = Wheel {
    name: "nvidia-cuda-runtime",
    version: "13.0.96",
    file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    bytes: 2_243_632,
    sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
};

/// What else torch 2.13.0 depends on for CUDA: what pip chose for `torch==2.13.0`, and pinned like the rest.
static CUDA: [Wheel; 13] = [
    Wheel {
        name: "nvidia-cublas",
        version: "13.1.1.3",
        file: "nvidia_cublas-13.1.1.3-py3-none-manylinux_2_27_x86_64.whl",
        bytes: 423_138_758,
        sha256: "37936a16db8fe4ac1f065c2139360608a543a09275cb1a1af612e08cfa065436",
    },
    Wheel {
        name: "nvidia-cuda-nvrtc",
        version: "13.0.88",
        file: "nvidia_cuda_nvrtc-13.0.88-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
        bytes: 90_215_200,
        sha256: "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575",
    },
    Wheel {
        name: "nvidia-cudnn-cu13",
        version: "9.20.0.48",
        file: "nvidia_cudnn_cu13-9.20.0.48-py3-none-manylinux_2_27_x86_64.whl",
        bytes: 366_173_588,
        sha256: "0c45dd8eeb50b603f07995b1b300c62ffe6a1980482b82b3bcf94a4ca9d49304",
    },
    Wheel {
        name: "nvidia-cufft",
        version: "12.0.0.61",
        file: "nvidia_cufft-12.0.0.61-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        bytes: 214_085_489,
        sha256: "6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3",
    },
    Wheel {
        name: "nvidia-cufile",
        version: "1.15.1.6",
        file: "nvidia_cufile-1.15.1.6-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        bytes: 1_223_672,
        sha256: "08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44",
    },
    Wheel {
        name: "nvidia-curand",
        version: "10.4.0.35",
        file: "nvidia_curand-10.4.0.35-py3-none-manylinux_2_27_x86_64.whl",
        bytes: 59_544_258,
        sha256: "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc",
    },
    Wheel {
        name: "nvidia-cusolver",
        version: "12.0.4.66",
        file: "nvidia_cusolver-12.0.4.66-py3-none-manylinux_2_27_x86_64.whl",
        bytes: 200_941_980,
        sha256: "0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112",
    },
    Wheel {
        name: "nvidia-cusparse",
        version: "12.6.3.3",
        file: "nvidia_cusparse-12.6.3.3-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        bytes: 145_942_937,
        sha256: "2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b",
    },
    Wheel {
        name: "nvidia-cusparselt-cu13",
        version: "0.8.1",
        file: "nvidia_cusparselt_cu13-0.8.1-py3-none-manylinux2014_x86_64.whl",
        bytes: 170_148_586,
        sha256: "786ce87568c303fadb5afcc7102d454cd3040d75f6f8626f5db460d1871f4dd0",
    },
    Wheel {
        name: "nvidia-nccl-cu13",
        version: "2.29.7",
        file: "nvidia_nccl_cu13-2.29.7-py3-none-manylinux_2_18_x86_64.whl",
        bytes: 205_976_000,
        sha256: "edd81538446786ec3b73972543e53bb43bcaf0bfc8ef76cb679fcc390ffe136d",
    },
    Wheel {
        name: "nvidia-nvjitlink",
        version: "13.5.37",
        file: "nvidia_nvjitlink-13.5.37-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
        bytes: 46_642_491,
        sha256: "280d7cb9649704145f074b8dbde500de04ce02d0872e066e20a83c17bcaa93eb",
    },
    Wheel {
        name: "nvidia-nvshmem-cu13",
        version: "3.4.5",
        file: "nvidia_nvshmem_cu13-3.4.5-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        bytes: 60_412_546,
        sha256: "290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80",
    },
    Wheel {
        name: "nvidia-nvtx",
        version: "13.0.85",
        file: "nvidia_nvtx-13.0.85-py3-none-manylinux1_x86_64.manylinux_2_5_x86_64.whl",
        bytes: 148_047,
        sha256: "4936d1d6780fbe68db454f5e72a42ff64d1fd6397df9f363ae786930fd5c1cd4",
    },
];
