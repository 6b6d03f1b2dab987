//! Whether two outputs of one run are the same numbers.

use std::hash::{DefaultHasher, Hasher};

use engine::record::RunOutput;

/// A digest of everything that equal ids make equal: no provenance, no clock, no wording. Good within one process.
pub fn fingerprint(output: &RunOutput) -> u64 {
    let mut digest = Digest(DefaultHasher::new());
    digest.0.write(output.status.word().as_bytes());
    output.metrics.values().iter().for_each(|value| digest.number(*value));
    digest.length(output.curves.len());
    for epoch in &output.curves {
        digest.0.write_u32(epoch.epoch);
        // All but `seconds`.
        for value in [
            epoch.loss,
            epoch.pnl_mean,
            epoch.pnl_variance,
            epoch.mean_cost,
            epoch.sharpe,
            epoch.grad_norm,
            epoch.damping,
            epoch.validation_loss,
            epoch.step_norm,
            epoch.trust_ratio,
            epoch.factor_condition,
        ] {
            digest.number(value);
        }
    }
    digest.length(output.path.len());
    for point in &output.path {
        [point.price, point.variance, point.position].into_iter().for_each(|value| digest.number(Some(value)));
    }
    digest.length(output.samples.len());
    for samples in &output.samples {
        digest.0.write(samples.set.word().as_bytes());
        digest.0.write_u32(samples.epoch);
        for values in [&samples.pnl, &samples.cost] {
            digest.length(values.len());
            values.iter().for_each(|value| digest.0.write_u32(value.to_bits()));
        }
    }
    digest.0.finish()
}

struct Digest(DefaultHasher);

impl Digest {
    /// Bit for bit; absent is a NaN, which no number here is.
    fn number(&mut self, value: Option<f64>) {
        self.0.write_u64(value.unwrap_or(f64::NAN).to_bits());
    }

    fn length(&mut self, length: usize) {
        self.0.write_u64(length as u64);
    }
}

#[cfg(test)]
mod tests {
    use engine::Status;
    use engine::metrics::Metrics;
    use engine::record::{Epoch, Provenance};

    use super::*;

    fn output() -> RunOutput {
        let mut output = RunOutput::failed("", Provenance::default());
        (output.status, output.error) = (Status::Ok, None);
        output.curves = vec![Epoch { epoch: 1, loss: Some(0.5), seconds: Some(1.0), ..Epoch::default() }];
        output
    }

    #[test]
    fn provenance_is_no_part_of_it() {
        let mut other = output();
        other.provenance.host = "elsewhere".into();
        other.curves[0].seconds = Some(2.0);
        assert_eq!(fingerprint(&output()), fingerprint(&other));
    }

    #[test]
    fn one_bit_makes_another() {
        let mut other = output();
        other.curves[0].loss = Some(0.5_f64.next_up());
        assert_ne!(fingerprint(&output()), fingerprint(&other));
        let mut other = output();
        other.metrics = Metrics::default();
        other.metrics.set("test.loss", 0.0);
        assert_ne!(fingerprint(&output()), fingerprint(&other));
    }
}
