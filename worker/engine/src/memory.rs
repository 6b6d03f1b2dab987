//! How much memory a run needs.

use crate::RunConfig;
use crate::evaluation::{BLOCK_PATHS, kept_bytes};
use crate::network::Dims;
use crate::record::Epoch;
use crate::training;

/// Bytes of an f64, an f32.
const F64: u64 = 8;
const F32: u64 = 4;

/// Numbers that scoring keeps of each held-out path: P&L, cost, turnover, drawdown, and at its peak net P&L, sorted
/// losses, the loss's own copies and the samples.
const KEPT_PER_PATH: u64 = 12;

impl RunConfig {
    /// An estimate, from above, of a run's peak memory in bytes: weights, gradient, moments; the training paths; then
    /// the larger of a training batch and a held-out set with one block of it; the sets that runs share; and the
    /// curves. With B paths of T points, I features and H hidden units, a batch holds 2BT f64 of paths, B·T·(I + 5) f32
    /// of features, moves and gradients, the network's pass (for an LSTM some 7BTH f32), for K-FAC and the feature
    /// correlation the head's inputs in f64, twice, and for K-FAC on all layers the gradients at the gates, 8BTH f32.
    pub fn memory_bytes(&self) -> u64 {
        let inputs = self.features.features.len();
        let layout = self.network.layout(inputs);
        // In f64 while they are made and as a running mean; in f32 weights, gradient, two moments, the mean, a copy to
        // score and the best epoch's.
        let weights = layout.len() as u64 * (2 * F64 + 7 * F32);
        let head = layout.head_inputs() as u64;
        let time = self.market.model().steps() + 1;
        let pass = |paths: usize| {
            let rows = (paths * time) as u64;
            let dims = Dims { batch: paths, time };
            rows * (2 * F64 + (inputs as u64 + 5) * F32) + self.network.bytes(inputs, dims)
        };
        let training = if self.training.epochs == 0 {
            0
        } else {
            let batch = self.training.batch_size as usize;
            let factors = self.optimizer.bytes(&layout, Dims { batch, time });
            let epoch_paths = self.training.batches() * self.training.batch_size;
            pass(batch) + (batch * time) as u64 * 2 * head * F64 + factors + epoch_paths * 3 * F64
        };
        let evaluation = &self.evaluation;
        let held_out = evaluation.validation_paths.max(evaluation.test_paths);
        let block = BLOCK_PATHS.min(held_out as usize);
        // Outcomes of each hedge, and its positions where they are kept.
        let kept = kept_bytes(self, evaluation.test_paths);
        let hedges = evaluation.hedges.len() as u64 * (evaluation.test_paths * 4 * F64 + kept / 4);
        let scores = held_out * KEPT_PER_PATH * F64 + pass(block) + (block * time) as u64 * 5 * F64;
        let sets = [evaluation.validation_paths, evaluation.test_paths].map(|count| kept_bytes(self, count));
        let curves = self.training.epochs * size_of::<Epoch>() as u64;
        weights + training::bytes(self) + training.max(scores) + hedges + sets.iter().sum::<u64>() + 2 * curves
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Preset, RunConfig, Value};

    fn bytes(key: &str, value: i64) -> u64 {
        RunConfig::resolve(Preset::Paper, 0, [(key, &Value::Int(value))]).unwrap().memory_bytes()
    }

    #[test]
    fn the_paper_fits_in_a_few_megabytes() {
        let paper = RunConfig::preset(Preset::Paper, 0).memory_bytes();
        assert!((1 << 20..16 << 20).contains(&paper), "{paper}");
    }

    #[test]
    fn memory_grows_with_what_is_held() {
        let paper = RunConfig::preset(Preset::Paper, 0).memory_bytes();
        // The pass keeps seven numbers a hidden unit and path-step.
        assert!(bytes("training.batch_size", 32_000) > 1000 * 51 * 32 * 7 * 32 * 4);
        let kfac = [("optimizer.kind", "kfac".into()), ("optimizer.layers", "all".into())];
        let kfac = RunConfig::resolve(Preset::Paper, 0, kfac.iter().map(|(key, value)| (*key, value))).unwrap();
        assert!(kfac.memory_bytes() > paper + 32 * 51 * 2 * 4 * 32 * 4, "two gradients at the gates");
        assert!(bytes("evaluation.test_paths", 10_000_000) > 10_000_000 * 8 * 8);
        assert!(bytes("evaluation.test_paths", 10_000_000) < 4 << 30, "held-out paths are streamed");
        assert!(bytes("market.steps", 500) > 5 * paper);
        let wide = bytes("network.hidden", 1024);
        assert!(wide < 400 << 20, "sums of vectors, 256 MiB more, are for few units: {wide}");
        assert!(bytes("network.hidden", 24) > 24 * 27 * 4 * 16 * 4);
    }
}
