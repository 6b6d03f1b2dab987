//! How often an arm is better.

use super::normal::normal_quantile;
use super::{COVERAGE, Interval};

/// A share of seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// The share, ties counted by half.
    pub share: f64,
    /// Wilson's interval (1927), which stays within 0 and 1 and keeps its coverage near them.
    pub interval: Interval,
}

/// The share of wins among wins, losses and ties; `None` without any.
pub fn superiority(wins: usize, ties: usize, n: usize) -> Option<Share> {
    if n == 0 {
        return None;
    }
    let size = n as f64;
    let share = (wins as f64 + 0.5 * ties as f64) / size;
    let z = normal_quantile((1.0 + COVERAGE) / 2.0);
    let squared = z * z / size;
    let centre = (share + 0.5 * squared) / (1.0 + squared);
    let half_width = (share * (1.0 - share) * squared + 0.25 * squared * squared).sqrt() / (1.0 + squared);
    let Interval { low, high } = Interval::around(centre, half_width);
    // Rounding must not lead out of it.
    Some(Share { share, interval: Interval { low: low.clamp(0.0, share), high: high.clamp(share, 1.0) } })
}
