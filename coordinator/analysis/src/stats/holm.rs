//! Holm's adjustment for several tests at once.

/// Holm's step-down adjustment: p values that hold for all of the family at once, in the order given.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|left, right| p[*left].total_cmp(&p[*right]));
    let mut adjusted = vec![0.0; p.len()];
    let mut floor = 0.0_f64;
    for (rank, place) in order.into_iter().enumerate() {
        floor = floor.max((p[place] * (p.len() - rank) as f64).min(1.0));
        adjusted[place] = floor;
    }
    adjusted
}
