//! How near the LSTM comes to the machine's peak: `cargo bench -p engine --bench lstm`.
//!
//! One core. A share is of the peak of AVX2's fused multiply-adds; with AVX-512 it can exceed 1. Counted are the products
//! alone: 8H(H + I) a path and point forward, 8H(2H + I) backward. Times are the least of many, taken in turns.
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::time::Instant;

use engine::network::{Dims, Gradient, InputShape, Lstm, Network, Scope, draw_weights};

const INPUTS: usize = 2;
const TIME: usize = 50;
const SECONDS: f64 = 0.5;

fn main() {
    println!("{:>4} {:>6}  {:>18}  {:>18}  {:>18}", "H", "batch", "forward", "backward", "both");
    for hidden in [8, 32, 64, 128] {
        for batch in [32, 256, 1024] {
            measure(hidden, batch);
        }
    }
    println!("GFLOP/s, and the share of the peak; AVX2 {:.0}, AVX-512 {:.0}", peak::avx2(), peak::avx512());
}

fn measure(hidden: usize, batch: usize) {
    let network = Network::Lstm(Lstm { hidden: hidden as u64, ..Lstm::default() });
    let layout = network.layout(INPUTS);
    let weights: Vec<f32> = draw_weights(&layout, 1).into_iter().map(|weight| weight as f32).collect();
    let mut policy = network.policy::<f32>(InputShape { count: INPUTS, fed_back: None });
    let dims = Dims { batch, time: TIME };
    let rows = batch * TIME;
    let mut inputs: Vec<f32> = (0..rows * INPUTS).map(|place| (place * 7919 % 1000) as f32 / 500.0 - 1.0).collect();
    let d_positions = vec![1e-3; rows];
    let mut d_weights = vec![0.0; weights.len()];
    let (mut forward, mut backward, mut peak) = (f64::MAX, f64::MAX, 0.0_f64);
    let begun = Instant::now();
    while begun.elapsed().as_secs_f64() < SECONDS {
        forward = forward.min(seconds(|| policy.forward(&weights, &mut inputs, dims)));
        let out = Gradient::of_weights(&mut d_weights);
        backward = backward.min(seconds(|| policy.backward(&weights, &inputs, &d_positions, Scope::All, out)));
        peak = peak.max(peak::avx2());
    }
    let gate_flops = (rows * 8 * hidden) as f64 * 1e-9;
    let [ahead, back] = [hidden + INPUTS, 2 * hidden + INPUTS].map(|depth| gate_flops * depth as f64);
    let shown = [ahead / forward, back / backward, (ahead + back) / (forward + backward)]
        .map(|speed| format!("{speed:>10.1} ({:>4.2})", speed / peak));
    println!("{hidden:>4} {batch:>6}  {:>18}  {:>18}  {:>18}", shown[0], shown[1], shown[2]);
}

fn seconds(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64()
}

/// GFLOP/s of fused multiply-adds that wait for nothing; NaN where the machine has none of that kind.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "a machine's peak is that of its own instructions")]
mod peak {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps, _mm512_fmadd_ps, _mm512_set1_ps};
    use std::hint::black_box;

    const ROUNDS: usize = 5000;
    /// As many as the multipliers have stages, and half as many again.
    const CHAINS: usize = 12;

    pub(super) fn avx2() -> f64 {
        if !(std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")) {
            return f64::NAN;
        }
        // SAFETY: the machine has AVX2 and FMA.
        speed(8, || unsafe { chains_of_8() })
    }

    pub(super) fn avx512() -> f64 {
        if !std::arch::is_x86_feature_detected!("avx512f") {
            return f64::NAN;
        }
        // SAFETY: the machine has AVX-512.
        speed(16, || unsafe { chains_of_16() })
    }

    fn speed(lanes: usize, work: impl Fn()) -> f64 {
        let least = (0..20).map(|_| super::seconds(&work)).fold(f64::MAX, f64::min);
        (ROUNDS * CHAINS * 2 * lanes) as f64 * 1e-9 / least
    }

    #[target_feature(enable = "avx2,fma")]
    fn chains_of_8() {
        let factor = black_box(_mm256_set1_ps(0.999));
        let mut chains = [_mm256_set1_ps(1.0); CHAINS];
        for _ in 0..ROUNDS {
            for chain in &mut chains {
                *chain = _mm256_fmadd_ps(*chain, factor, factor);
            }
        }
        black_box(chains);
    }

    #[target_feature(enable = "avx512f")]
    fn chains_of_16() {
        let factor = black_box(_mm512_set1_ps(0.999));
        let mut chains = [_mm512_set1_ps(1.0); CHAINS];
        for _ in 0..ROUNDS {
            for chain in &mut chains {
                *chain = _mm512_fmadd_ps(*chain, factor, factor);
            }
        }
        black_box(chains);
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod peak {
    pub(super) fn avx2() -> f64 {
        f64::NAN
    }

    pub(super) fn avx512() -> f64 {
        f64::NAN
    }
}
