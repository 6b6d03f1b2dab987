//! The LSTM's passes by themselves.

use engine::network::{Dims, Gradient, InputShape, Lstm, Network, Scope, draw_weights};
use engine::speed::lstm_flops;

use super::{peak, seconds};

const INPUTS: usize = 4;
const POINTS: usize = 50;
/// Times of each pass, of which the least counts.
const TIMES: usize = 8;
/// Passes are repeated until they take about as long as this many operations.
const FLOPS: f64 = 5e8;

/// The passes at one size.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// H.
    pub hidden: usize,
    /// Paths of a batch.
    pub batch: usize,
    /// Forward.
    pub forward: Pass,
    /// Backward, down to the weights.
    pub backward: Pass,
}

/// How fast a pass is.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Floating-point operations of its matrix products, a second.
    pub flops_per_s: f64,
    /// Of the peak measured beside it.
    pub fraction_of_peak: f64,
}

/// Measures the passes at every size, one after the other.
pub fn kernels() -> impl Iterator<Item = Kernel> {
    let sizes = [8, 32, 64, 128].into_iter().flat_map(|hidden| [32, 256, 1024].map(|batch| (hidden, batch)));
    sizes.map(|(hidden, batch)| kernel(hidden, batch))
}

fn kernel(hidden: usize, batch: usize) -> Kernel {
    let network = Network::Lstm(Lstm { hidden: hidden as u64, ..Lstm::default() });
    let layout = network.layout(INPUTS);
    let weights: Vec<f32> = draw_weights(&layout, 1).into_iter().map(|weight| weight as f32).collect();
    let mut policy = network.policy::<f32>(InputShape { count: INPUTS, fed_back: None }, batch);
    let dims = Dims { batch, time: POINTS };
    let rows = batch * POINTS;
    let mut inputs: Vec<f32> = (0..rows * INPUTS).map(|place| (place * 7919 % 1000) as f32 / 500.0 - 1.0).collect();
    let d_positions = vec![1e-3; rows];
    let mut d_weights = vec![0.0; weights.len()];
    let flops = lstm_flops(rows as u64, INPUTS as u64, hidden as u64);
    let repeats = flops.map(|flops| (FLOPS / flops).clamp(1.0, 1000.0) as usize);
    let (mut ahead, mut back, mut best) = (f64::MAX, f64::MAX, 0.0_f64);
    for _ in 0..TIMES {
        best = best.max(peak());
        ahead = ahead.min(seconds(|| (0..repeats[0]).for_each(|_| policy.forward(&weights, &mut inputs, dims))));
        back = back.min(seconds(|| {
            for _ in 0..repeats[1] {
                let out = Gradient::of_weights(&mut d_weights);
                policy.backward(&weights, &inputs, &d_positions, Scope::All, out);
            }
        }));
    }
    let pass = |place: usize, time: f64| {
        let flops_per_s = flops[place] * repeats[place] as f64 / time;
        Pass { flops_per_s, fraction_of_peak: flops_per_s / best }
    };
    Kernel { hidden, batch, forward: pass(0, ahead), backward: pass(1, back) }
}
