//! [`Isa`]: the vector instructions that kernels use.

/// The vector instructions that kernels use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Isa {
    /// None in particular: what the compiler makes of loops.
    Portable,
    /// AVX2 with FMA: 8 numbers at once.
    Avx2,
    /// AVX-512: 16 numbers at once.
    Avx512,
}

impl Isa {
    /// The best that this processor has; less if the environment variable `MMCV_ISA` says `avx2` or `portable`.
    #[must_use]
    pub fn best() -> Self {
        let wanted = std::env::var("MMCV_ISA").unwrap_or_default();
        let limit = match wanted.as_str() {
            "portable" => Self::Portable,
            "avx2" => Self::Avx2,
            _ => Self::Avx512,
        };
        for isa in [Self::Avx512, Self::Avx2] {
            if limit.width() >= isa.width() && isa.is_available() {
                return isa;
            }
        }
        Self::Portable
    }

    /// Whether this processor has these instructions.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// How many numbers an instruction works on at once.
    #[must_use]
    pub fn width(self) -> usize {
        match self {
            Self::Portable => 4,
            Self::Avx2 => 8,
            Self::Avx512 => 16,
        }
    }
}
