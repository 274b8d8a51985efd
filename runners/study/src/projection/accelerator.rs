//! Accelerators that a study may be projected to.

/// An accelerator, and what its vendor says that it multiplies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Accelerator {
    /// Its name, in lower case.
    pub name: &'static str,
    /// Dense matrix products in bfloat16, 10¹² FLOPs a second.
    pub teraflops: f64,
    /// The vendor's document that says so. Where it gives the rate with structured sparsity, this is half of it.
    pub source: &'static str,
}

/// Those that are known by name.
pub const ACCELERATORS: [Accelerator; 6] = [
    Accelerator { name: "a100", teraflops: 312.0, source: "NVIDIA A100 Tensor Core GPU data sheet" },
    Accelerator { name: "h100", teraflops: 989.0, source: "NVIDIA H100 Tensor Core GPU data sheet, SXM" },
    Accelerator { name: "h200", teraflops: 989.0, source: "NVIDIA H200 Tensor Core GPU data sheet, SXM" },
    Accelerator { name: "b200", teraflops: 2250.0, source: "NVIDIA Blackwell architecture technical brief, HGX B200" },
    Accelerator { name: "l40s", teraflops: 362.0, source: "NVIDIA L40S data sheet" },
    Accelerator { name: "4090", teraflops: 165.0, source: "NVIDIA Ada GPU architecture whitepaper, GeForce RTX 4090" },
];
