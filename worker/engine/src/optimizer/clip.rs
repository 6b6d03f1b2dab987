//! The step clip: a bound on how far a step moves what the network says.

/// The scale of a step lr·Δ against the gradient ∇ for which it was made: `min(1, √(κ/(lr²⟨Δ, ∇⟩)))` (Ba, Grosse, Martens
/// 2017, §5). lr²⟨Δ, ∇⟩ is lr²·ΔᵀFΔ, twice the Kullback–Leibler divergence of the step by the Fisher matrix that
/// preconditioned it.
///
/// `along` is ⟨lr·Δ, ∇⟩. A step that goes against the gradient has no such bound, and stays as it is.
pub(super) fn kl_scale(bound: Option<f64>, lr: f64, along: f64) -> f64 {
    match bound {
        Some(bound) if along > 0.0 => (bound / (lr * along)).sqrt().min(1.0),
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clipped_step_is_on_the_bound() {
        // Δ = (3, 4), ∇ = (2, 1), lr 0.1: lr²⟨Δ, ∇⟩ = 0.1.
        let scale = kl_scale(Some(1e-3), 0.1, 0.1 * 10.0);
        assert!((scale - 0.1).abs() < 1e-15);
        assert!((scale * scale * 0.1 - 1e-3).abs() < 1e-17);
    }

    #[test]
    fn a_small_step_or_one_without_a_bound_stays() {
        assert_eq!(kl_scale(Some(1.0), 0.1, 1.0), 1.0);
        assert_eq!(kl_scale(None, 0.1, 1e9), 1.0);
        assert_eq!(kl_scale(Some(1e-3), 0.1, -5.0), 1.0);
        assert_eq!(kl_scale(Some(1e-3), 0.1, 0.0), 1.0);
        assert_eq!(kl_scale(Some(1e-3), 0.1, f64::NAN), 1.0, "what is not finite is reported where it arises");
    }
}
