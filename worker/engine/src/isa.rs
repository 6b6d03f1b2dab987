//! Which instructions a kernel is compiled for.
//!
//! A kernel is written once, in plain code over [`Lanes`](crate::lanes::Lanes), and compiled once for each instruction
//! set. Fused multiply-adds round alike in all of them, so they agree to the last bit; where the machine has none, the C
//! library's stands in, which is slow and right.

/// An instruction set that kernels are compiled for, and that this machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Isa(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// What the whole program is compiled for; on aarch64 that has fused multiply-adds.
    Baseline,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512, with twice the registers of twice the width.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Set {
    /// Whether this machine has it; asked once a process.
    fn is_here(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        use std::arch::is_x86_feature_detected as has;
        match self {
            Set::Baseline => true,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => has!("avx2") && has!("fma"),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => {
                Set::Avx2.is_here() && has!("avx512f") && has!("avx512vl") && has!("avx512dq") && has!("avx512bw")
            }
        }
    }
}

/// A computation that gains from vectors. `run` and everything that it calls must be `#[inline(always)]`, or else it
/// is compiled for the baseline.
pub(crate) trait Kernel {
    /// Does it; `WIDE` if there are 32 registers of sixteen lanes to be filled. That must change no bit.
    fn run<const WIDE: bool>(self);
}

impl Isa {
    /// All that there are, the best first.
    const ALL: &[Set] = &[
        #[cfg(target_arch = "x86_64")]
        Set::Avx512,
        #[cfg(target_arch = "x86_64")]
        Set::Avx2,
        Set::Baseline,
    ];

    /// All that this machine has, the best last.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Isa> {
        Isa::ALL.iter().rev().filter(|set| set.is_here()).copied().map(Isa).collect()
    }

    /// The best that this machine has.
    pub(crate) fn detect() -> Isa {
        Isa(*Isa::ALL.iter().find(|set| set.is_here()).expect("the baseline"))
    }

    /// Its name, for people.
    pub(crate) fn name(self) -> &'static str {
        match self.0 {
            Set::Baseline => "baseline",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "AVX-512",
        }
    }

    /// Does the computation with these instructions.
    #[cfg_attr(
        target_arch = "x86_64",
        expect(unsafe_code, reason = "a call of what is compiled for more than the baseline")
    )]
    pub(crate) fn run(self, kernel: impl Kernel) {
        match self.0 {
            Set::Baseline => kernel.run::<false>(),
            // SAFETY: `with_avx2` asks for nothing but a machine with AVX2 and FMA, and this variant is only
            // made where `is_here` has found both.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { with_avx2(kernel) },
            // SAFETY: likewise with those that `with_avx512` names.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { with_avx512(kernel) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2(kernel: impl Kernel) {
    kernel.run::<false>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512dq,avx512bw")]
fn with_avx512(kernel: impl Kernel) {
    kernel.run::<true>();
}
