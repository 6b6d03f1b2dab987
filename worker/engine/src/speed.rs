//! What a run's arithmetic comes to, and how fast this machine could do it: for whoever has a clock.

use crate::RunConfig;
use crate::isa::{Isa, Kernel};
use crate::lanes::{Vector, unrolled};
use crate::optimizer::{Fisher, Kfac, KfacLayers, Layers, Optimizer, RecurrentFactors, Sharing};

/// Chains of multiply-adds that wait for nothing: as many as a core's multipliers have stages, and half as many again.
const CHAINS: usize = 12;
/// Numbers of a chain.
const WIDTH: usize = 16;

/// Does `rounds` fused multiply-adds in each of many independent chains, in the best vectors that this machine has.
/// Returns how many floating-point operations these were; what can be done of them in a second is a core's peak in f32.
pub fn multiply_adds(rounds: u32) -> f64 {
    let mut sum = 0.0;
    Isa::detect().run(Chains { rounds, sum: &mut sum });
    // The sum must be wanted by someone, or the compiler leaves the work out.
    std::hint::black_box(sum);
    2.0 * f64::from(rounds) * (CHAINS * WIDTH) as f64
}

struct Chains<'a> {
    rounds: u32,
    sum: &'a mut f32,
}

impl Kernel for Chains<'_> {
    #[inline(always)]
    fn run<const WIDE: bool>(self) {
        if WIDE { self.chains::<1, 16>() } else { self.chains::<2, 8>() }
    }
}

impl Chains<'_> {
    /// A chain is V vectors of N numbers; twelve vectors are under way at a time.
    #[inline(always)]
    fn chains<const V: usize, const N: usize>(self) {
        const HALF: usize = CHAINS / 2;
        let factor = Vector::<N>::splat(std::hint::black_box(0.999));
        for _ in 0..V {
            let (mut left, mut right) = ([Vector::<N>::ONE; HALF], [Vector::<N>::ONE; HALF]);
            for _ in 0..self.rounds {
                unrolled!(c in HALF, left[c] = left[c].mul_add(factor, factor));
                unrolled!(c in HALF, right[c] = right[c].mul_add(factor, factor));
            }
            unrolled!(c in HALF, *self.sum += left[c].add(right[c]).0[0]);
        }
    }
}

/// Floating-point operations of the matrix products in an LSTM's pass over so many rows, one a path and point: 8H(H + I)
/// forward, 8H(2H + I) backward. Activations are not counted.
pub fn lstm_flops(rows: u64, inputs: u64, hidden: u64) -> [f64; 2] {
    [hidden + inputs, 2 * hidden + inputs].map(|depth| (rows * 8 * hidden * depth) as f64)
}

impl RunConfig {
    /// Floating-point operations of the matrix products in an epoch of training: the LSTM's, and for K-FAC the sums of its
    /// factors, one triangle each, and the part of the extra backward pass that the Gauss–Newton matrix takes. `None` where
    /// the head alone is trained without a position fed back, so that passes end early.
    pub fn epoch_flops(&self) -> Option<f64> {
        let time = self.contract.decisions(self.market.model().steps() + 1) as u64;
        let rows = self.training.batches() * self.training.batch_size * time;
        let inputs = self.features.features.len() as u64;
        let layout = self.network.layout(inputs as usize);
        let hidden = layout.head_inputs() as u64;
        let trains_all = match &self.optimizer {
            Optimizer::Adam(adam) => adam.layers == Layers::All,
            Optimizer::Sgd(sgd) => sgd.layers == Layers::All,
            Optimizer::Kfac(kfac) => kfac.layers == KfacLayers::All,
        };
        if !trains_all {
            return None;
        }
        let [forward, backward] = lstm_flops(rows, inputs, hidden);
        let of_optimizer = match &self.optimizer {
            Optimizer::Kfac(kfac) => factor_flops(kfac, rows, inputs, hidden),
            Optimizer::Adam(_) | Optimizer::Sgd(_) => 0.0,
        };
        Some(forward + backward + of_optimizer)
    }
}

fn factor_flops(kfac: &Kfac, rows: u64, inputs: u64, hidden: u64) -> f64 {
    let width = inputs + hidden + 1;
    let outputs = match kfac.recurrent_factors {
        RecurrentFactors::Joint => 16 * hidden * hidden,
        RecurrentFactors::PerGate => 4 * hidden * hidden,
    };
    let sums = match kfac.sharing {
        Sharing::Expand => rows * (width * width + (hidden + 1) * (hidden + 1) + outputs),
        Sharing::Reduce => 0,
    };
    let tangents = match kfac.fisher {
        Fisher::Empirical => 0,
        Fisher::Ggn => rows * 8 * hidden * hidden,
    };
    (sums / kfac.factor_interval + tangents / kfac.factor_interval) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Preset, Value};

    #[test]
    fn a_paper_run_is_a_few_billion_operations() {
        // Design: 4.2 GFLOP for 100 epochs of 32 paths of 51 points.
        let flops = 100.0 * RunConfig::preset(Preset::Paper, 0).epoch_flops().unwrap();
        assert!((4.1e9..4.3e9).contains(&flops), "{flops:e}");
    }

    #[test]
    fn kfac_does_more_and_the_head_alone_is_not_counted() {
        let flops = |keys: &[(&str, Value)]| {
            RunConfig::resolve(Preset::Hedging, 0, keys.iter().map(|(key, value)| (*key, value))).unwrap().epoch_flops()
        };
        let (adam, kfac) = (flops(&[]).unwrap(), flops(&[("optimizer.kind", "kfac".into())]).unwrap());
        // 25.7 and 6.7 thousand operations a path and point: 34², one G a gate, and the head's 33².
        assert!((kfac / adam - 1.25).abs() < 0.02, "{}", kfac / adam);
        assert_eq!(flops(&[("optimizer.layers", "head".into())]), None);
    }

    #[test]
    fn every_round_counts() {
        assert_eq!(multiply_adds(10), 10.0 * 2.0 * 192.0);
    }
}
