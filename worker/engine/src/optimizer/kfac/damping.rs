//! Levenberg and Marquardt's rule for the damping, and what happens when a factor has no inverse.

use super::DampingAdapt;
use crate::optimizer::SingularFactor;

/// Steps between two looks at how well the quadratic model foresees the loss.
const INTERVAL: u64 = 5;
/// ω⁵, ω = 0.95.
const FACTOR: f64 = 0.95 * 0.95 * 0.95 * 0.95 * 0.95;
/// Where λ stays.
const LOW: f64 = 1e-8;
const HIGH: f64 = 1e3;
/// By how much λ rises when a factor has no inverse; from LOW to HIGH it takes eleven such steps.
const RISE: f64 = 10.0;
/// Batches in a row whose factors cannot be used, after which the run ends.
pub(super) const PATIENCE: u32 = 10;

/// λ as it changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Damping {
    adapt: DampingAdapt,
    value: f64,
    /// Batches in a row whose factors could not be used.
    failures: u32,
}

impl Damping {
    pub(super) fn new(adapt: DampingAdapt, value: f64) -> Damping {
        Damping { adapt, value, failures: 0 }
    }

    /// λ.
    pub(super) fn value(&self) -> f64 {
        self.value
    }

    /// Whether λ looks at step number `step`, from 1.
    pub(super) fn looks_at(&self, step: u64) -> bool {
        self.adapt == DampingAdapt::LevenbergMarquardt && step.is_multiple_of(INTERVAL)
    }

    /// Takes the change of the loss that a step made and the change that the quadratic model foresaw. λ falls where the
    /// model is right (ρ > 3/4) and rises where it is wrong (ρ < 1/4), foresees no gain, or ρ is no number. Returns ρ.
    pub(super) fn adapt(&mut self, change: f64, foreseen: f64) -> f64 {
        let ratio = change / foreseen;
        if !ratio.is_finite() || foreseen >= 0.0 || ratio < 0.25 {
            self.value /= FACTOR;
        } else if ratio > 0.75 {
            self.value *= FACTOR;
        }
        self.value = self.value.clamp(LOW, HIGH);
        ratio
    }

    /// Tenfold damping, if it may rise and has room to.
    pub(super) fn rise(&mut self) -> bool {
        let may = self.adapt == DampingAdapt::LevenbergMarquardt && self.value < HIGH;
        if may {
            self.value = (self.value * RISE).clamp(LOW, HIGH);
        }
        may
    }

    /// A batch's factors could be used.
    pub(super) fn succeed(&mut self) {
        self.failures = 0;
    }

    /// A batch's factors cannot be used, whatever the damping. A run that adapts goes on without them for a while.
    ///
    /// # Errors
    /// The factor, for a run whose damping is fixed, or after [`PATIENCE`] such batches in a row.
    pub(super) fn fail(&mut self, singular: SingularFactor) -> Result<(), SingularFactor> {
        self.failures += 1;
        if self.adapt == DampingAdapt::None || self.failures > PATIENCE { Err(singular) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapted(from: f64, change: f64, foreseen: f64) -> (f64, f64) {
        let mut damping = Damping::new(DampingAdapt::LevenbergMarquardt, from);
        let ratio = damping.adapt(change, foreseen);
        (damping.value(), ratio)
    }

    #[test]
    fn the_rule_is_levenberg_and_marquardts() {
        // ω⁵ = 0.95⁵ = 0.7737809375.
        let close = |x: f64, y: f64| assert!((x / y - 1.0).abs() < 1e-14, "{x} for {y}");
        close(adapted(0.1, -0.8, -1.0).0, 0.07737809375);
        close(adapted(0.1, -0.2, -1.0).0, 0.1 / 0.7737809375);
        assert_eq!(adapted(0.1, -0.5, -1.0), (0.1, 0.5));
        assert_eq!(adapted(0.1, -0.75, -1.0).0, 0.1, "neither above three quarters");
        assert_eq!(adapted(0.1, -0.25, -1.0).0, 0.1, "nor below one quarter");
        close(adapted(0.1, 0.3, -1.0).0, 0.1 / 0.7737809375);
    }

    #[test]
    fn a_model_that_foresees_no_gain_raises_it() {
        for (change, foreseen) in
            [(-1.0, 0.0), (1.0, 1.0), (0.0, 0.0), (f64::NAN, -1.0), (f64::INFINITY, -1.0), (-1.0, f64::NAN)]
        {
            assert!(adapted(0.1, change, foreseen).0 > 0.129, "{change} for {foreseen}");
        }
    }

    #[test]
    fn it_stays_in_its_bounds() {
        assert_eq!(adapted(LOW, -1.0, -1.0).0, LOW);
        assert_eq!(adapted(HIGH, 1.0, -1.0).0, HIGH);
        let mut damping = Damping::new(DampingAdapt::LevenbergMarquardt, LOW);
        let rises = (0..100).take_while(|_| damping.rise()).count();
        assert_eq!((rises, damping.value()), (11, HIGH));
    }

    #[test]
    fn a_fixed_damping_never_moves() {
        let mut damping = Damping::new(DampingAdapt::None, 0.1);
        assert!(!damping.looks_at(5) && !damping.rise());
        assert_eq!(damping.value(), 0.1);
        let singular = SingularFactor { factor: "A" };
        assert_eq!(damping.fail(singular), Err(singular));
    }

    #[test]
    fn it_looks_every_five_steps() {
        let damping = Damping::new(DampingAdapt::LevenbergMarquardt, 0.1);
        assert_eq!((1..=12).filter(|step| damping.looks_at(*step)).collect::<Vec<_>>(), [5, 10]);
    }

    #[test]
    fn patience_ends() {
        let mut damping = Damping::new(DampingAdapt::LevenbergMarquardt, 0.1);
        let singular = SingularFactor { factor: "G" };
        assert!((0..PATIENCE).all(|_| damping.fail(singular).is_ok()));
        damping.succeed();
        assert!((0..PATIENCE).all(|_| damping.fail(singular).is_ok()));
        assert_eq!(damping.fail(singular), Err(singular));
    }
}
