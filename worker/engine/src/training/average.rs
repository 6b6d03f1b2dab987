//! The running mean of the weights.

/// The mean of the weights over the steps, or the weights as they are where there is no memory.
pub(crate) struct RunningWeights {
    decay: f64,
    /// (1 − β) Σ_s β^{t−s} w_s; empty without memory.
    sum: Vec<f64>,
    /// βᵗ after t steps.
    power: f64,
    mean: Vec<f32>,
}

impl RunningWeights {
    /// Before the first step from these weights.
    pub(crate) fn new(decay: f64, start: &[f32]) -> RunningWeights {
        let sum = if decay > 0.0 { vec![0.0; start.len()] } else { Vec::new() };
        RunningWeights { decay, sum, power: 1.0, mean: start.to_vec() }
    }

    /// Takes the weights after a step.
    pub(crate) fn take(&mut self, weights: &[f32]) {
        self.power *= self.decay;
        for (sum, weight) in self.sum.iter_mut().zip(weights) {
            *sum = self.decay * *sum + (1.0 - self.decay) * f64::from(*weight);
        }
    }

    /// The mean, corrected for its start from zero; `last`, the weights after the last step, where there is no memory.
    pub(crate) fn mean<'a>(&'a mut self, last: &'a [f32]) -> &'a [f32] {
        if self.sum.is_empty() {
            return last;
        }
        if self.power < 1.0 {
            let share = 1.0 / (1.0 - self.power);
            self.mean.iter_mut().zip(&self.sum).for_each(|(mean, sum)| *mean = (sum * share) as f32);
        }
        &self.mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_corrected_for_its_start() {
        let mut running = RunningWeights::new(0.9, &[7.0]);
        assert_eq!(running.mean(&[1.0]), [7.0], "no step, no mean");
        running.take(&[3.0]);
        assert_eq!(running.mean(&[3.0]), [3.0], "the mean of one is that one");
        running.take(&[5.0]);
        // (0.9·0.1·3 + 0.1·5)/(1 − 0.81)
        assert!((f64::from(running.mean(&[5.0])[0]) - 0.77 / 0.19).abs() < 1e-6);
    }

    #[test]
    fn without_memory_the_weights_are_as_they_are() {
        let mut running = RunningWeights::new(0.0, &[7.0]);
        running.take(&[0.1]);
        assert_eq!(running.mean(&[0.3]), [0.3]);
    }
}
