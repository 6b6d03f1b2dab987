//! What a run's arithmetic comes to, and how fast this machine could do it: for whoever has a clock.

use crate::RunConfig;
use crate::isa::{Isa, Kernel};
use crate::lanes::{Vector, unrolled};
use crate::optimizer::{Bias, Fisher, Kfac, KfacLayers, Layers, Optimizer, RecurrentFactors, Rest, Sharing};

/// Chains of multiply-adds that wait for nothing: as many as a core's multipliers have stages, and half as many again.
const CHAINS: usize = 12;
/// Numbers of a chain.
const WIDTH: usize = 16;

/// The vector instructions that runs use on this machine.
pub fn vectors() -> &'static str {
    Isa::detect().name()
}

/// Does `rounds` fused multiply-adds in each of many independent chains, in the best vectors that this machine has.
/// Returns how many floating-point operations these were; what can be done of them in a second is a core's peak in f32.
pub fn multiply_adds(rounds: u32) -> f64 {
    // Unknown to the compiler, all different, and wanted whole in the end: it leaves no lane out.
    let mut numbers = [1.0; CHAINS * WIDTH];
    (0_u16..).zip(&mut numbers).for_each(|(place, number)| *number += f32::from(place));
    let mut numbers = std::hint::black_box(numbers);
    Isa::detect().run(Chains { rounds, numbers: &mut numbers });
    std::hint::black_box(numbers);
    2.0 * f64::from(rounds) * (CHAINS * WIDTH) as f64
}

struct Chains<'a> {
    rounds: u32,
    numbers: &'a mut [f32; CHAINS * WIDTH],
}

impl Kernel for Chains<'_> {
    #[inline(always)]
    fn run<const WIDE: bool>(self) {
        if WIDE { self.chains::<16>() } else { self.chains::<8>() }
    }
}

impl Chains<'_> {
    /// Twelve vectors of N numbers are under way at a time.
    #[inline(always)]
    fn chains<const N: usize>(self) {
        const HALF: usize = CHAINS / 2;
        let factor = Vector::<N>::splat(std::hint::black_box(0.999));
        for numbers in self.numbers.chunks_exact_mut(CHAINS * N) {
            let (first, second) = numbers.split_at_mut(HALF * N);
            let mut left = Vector::<N>::load_all::<HALF>(first);
            let mut right = Vector::<N>::load_all::<HALF>(second);
            for _ in 0..self.rounds {
                unrolled!(c in HALF, left[c] = left[c].mul_add(factor, factor));
                unrolled!(c in HALF, right[c] = right[c].mul_add(factor, factor));
            }
            Vector::store_all(left, first);
            Vector::store_all(right, second);
        }
    }
}

/// Floating-point operations of the matrix products in an LSTM's pass over so many rows, one a path and point: 8H(H + I)
/// forward, 8H(2H + I) backward. Activations are not counted.
pub fn lstm_flops(rows: u64, inputs: u64, hidden: u64) -> [f64; 2] {
    [hidden + inputs, 2 * hidden + inputs].map(|depth| (rows * 8 * hidden * depth) as f64)
}

impl RunConfig {
    /// Floating-point operations of the matrix products in an epoch of training: the LSTM's; and for K-FAC on all layers the
    /// sums of its factors, one triangle each, and the product with the recurrent weights in the Gauss–Newton matrix's extra
    /// backward pass. Its inversions, and what Levenberg and Marquardt's rule looks at, are not counted. `None` where not
    /// all layers are trained, as passes then leave things out.
    pub fn epoch_flops(&self) -> Option<f64> {
        let time = self.contract.decisions(self.market.model().steps() + 1) as u64;
        let rows = self.training.batches() * self.training.batch_size * time;
        let inputs = self.features.features.len() as u64;
        let layout = self.network.layout(inputs as usize);
        let hidden = layout.head_inputs() as u64;
        let [forward, backward] = lstm_flops(rows, inputs, hidden);
        let of_optimizer = match &self.optimizer {
            Optimizer::Adam(adam) if adam.layers == Layers::All => 0.0,
            Optimizer::Sgd(sgd) if sgd.layers == Layers::All => 0.0,
            Optimizer::Kfac(kfac) if kfac.layers == KfacLayers::All => {
                let examples = match kfac.sharing {
                    Sharing::Expand => rows,
                    Sharing::Reduce => rows / time,
                };
                factor_flops(kfac, [rows, examples], inputs, hidden)
            }
            Optimizer::Kfac(kfac) if kfac.rest == Rest::Adam => 0.0,
            _ => return None,
        };
        Some(forward + backward + of_optimizer)
    }
}

fn factor_flops(kfac: &Kfac, [rows, examples]: [u64; 2], inputs: u64, hidden: u64) -> f64 {
    let bias = u64::from(kfac.bias == Bias::Homogeneous);
    let (width, head) = (inputs + hidden + bias, hidden + bias);
    let outputs = match kfac.recurrent_factors {
        RecurrentFactors::Joint => 16 * hidden * hidden,
        RecurrentFactors::PerGate => 4 * hidden * hidden,
    };
    let sums = examples * (width * width + head * head + outputs);
    let tangents = match kfac.fisher {
        Fisher::Empirical => 0,
        Fisher::Ggn => rows * 8 * hidden * hidden,
    };
    (sums + tangents) as f64 / kfac.factor_interval as f64
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
    fn kfac_adds_its_sums_and_the_head_alone_is_not_counted() {
        let flops = |keys: &[(&str, Value)]| {
            RunConfig::resolve(Preset::Hedging, 0, keys.iter().map(|(key, value)| (*key, value))).unwrap().epoch_flops()
        };
        let kfac = |keys: &[(&str, Value)]| {
            let kind = [("optimizer.kind", "kfac".into())];
            flops(&[&kind[..], keys].concat()).unwrap() - flops(&[]).unwrap()
        };
        // 312 batches of 32 paths of 50 points; four inputs, 32 units and a bias.
        let (paths, points) = (9984.0, 50.0);
        let (inputs, per_gate, joint) = (37.0 * 37.0 + 33.0 * 33.0, 4.0 * 32.0 * 32.0, 128.0 * 128.0);
        assert_eq!(kfac(&[]), paths * points * (inputs + per_gate));
        assert_eq!(kfac(&[("optimizer.recurrent_factors", "joint".into())]), paths * points * (inputs + joint));
        assert_eq!(kfac(&[("optimizer.sharing", "reduce".into())]), paths * (inputs + per_gate));
        let tangents = 8.0 * 32.0 * 32.0;
        assert_eq!(kfac(&[("optimizer.fisher", "ggn".into())]), paths * points * (inputs + per_gate + tangents));
        let rest = [("optimizer.layers", "head".into()), ("optimizer.rest", "adam".into())];
        assert_eq!(kfac(&rest), 0.0, "the head's factors are a small part");
        assert_eq!(flops(&[("optimizer.layers", "head".into())]), None);
    }

    #[test]
    fn every_round_counts() {
        assert_eq!(multiply_adds(10), 10.0 * 2.0 * 192.0);
    }
}
