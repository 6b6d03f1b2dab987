//! Student's t distribution.

use std::f64::consts::PI;

use super::normal::normal_quantile;

/// A t statistic and its two-sided p.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TTest {
    /// The statistic.
    pub t: Option<f64>,
    /// The probability of one at least as far from zero.
    pub p: Option<f64>,
}

/// P(|T| ≥ |t|) for Student's t with `freedom` degrees of freedom, to ten digits in the farthest tail and near zero.
///
/// It is the regularised incomplete beta function I_x(ν/2, ½) at x = ν/(ν + t²). The library at hand returns 0 below
/// about 1e-16 of it for large ν, and SciPy's `stdtr` loses half of its digits near t = 0.
pub fn two_sided_p(t: f64, freedom: f64) -> f64 {
    let (half, ratio) = (freedom / 2.0, t * t / freedom);
    if ratio == 0.0 {
        return 1.0;
    }
    let (x, rest) = (1.0 / (1.0 + ratio), ratio / (1.0 + ratio));
    // x^a (1 − x)^½ / B(a, ½)
    let front = (-half * ratio.ln_1p()).exp() * rest.sqrt() * gamma_ratio(half) / PI.sqrt();
    if x < (half + 1.0) / (half + 2.5) {
        front * beta_fraction([half, 0.5], [x, rest])
    } else {
        1.0 - front * beta_fraction([0.5, half], [rest, x])
    }
}

/// The t ≥ 0 for which [`two_sided_p`] is `p`, for p in (0, 1).
///
/// By Newton's method on the logarithms of both, in which the tail is nearly a straight line however heavy it is. statrs'
/// own quantile has four digits for a million degrees of freedom.
pub fn two_sided_quantile(p: f64, freedom: f64) -> f64 {
    let mut t = normal_quantile(1.0 - p / 2.0);
    for _ in 0..100 {
        let found = two_sided_p(t, freedom);
        // The slope of p: minus twice the density.
        let density = gamma_ratio(freedom / 2.0) / (freedom * PI).sqrt()
            * (-0.5 * (freedom + 1.0) * (t * t / freedom).ln_1p()).exp();
        let step = (found / p).ln() * found / (2.0 * density * t);
        t *= step.clamp(-2.0, 2.0).exp();
        if step.abs() < 4.0 * f64::EPSILON {
            break;
        }
    }
    t
}

/// Γ(a + ½) / Γ(a): the asymptotic series from a = 20 on, the recurrence below. A difference of two logarithms of Γ
/// would lose what they have in common.
fn gamma_ratio(a: f64) -> f64 {
    if a < 20.0 {
        return gamma_ratio(a + 1.0) * a / (a + 0.5);
    }
    let inverse = 1.0 / (a * a);
    let series = 1.0 / 8.0
        - inverse * (1.0 / 192.0 - inverse * (1.0 / 640.0 - inverse * (17.0 / 14336.0 - inverse * 31.0 / 18432.0)));
    a.sqrt() * (-series / a).exp()
}

/// I_x(a, b) · B(a, b) / (xᵃ yᵇ) with y = 1 − x: the continued fraction of DiDonato & Morris 1992 (TOMS 708, eq. 9), which is
/// told both x and y. One that knows x alone takes differences of numbers near 1 where a is large, and loses as many
/// digits as a has. It converges within some √max(a, b) steps where x < (a + 1)/(a + b + 2).
fn beta_fraction([a, b]: [f64; 2], [x, y]: [f64; 2]) -> f64 {
    let lambda = if a > b { (a + b) * y - b } else { a - (a + b) * x };
    let (c, c0, c1) = (1.0 + lambda, b / a, 1.0 + 1.0 / a);
    let (mut p, mut s) = (1.0, a + 1.0);
    // The last two convergents' numerators and denominators.
    let (mut above, mut below) = ([0.0, 1.0], [1.0, c / c1]);
    let mut fraction = c1 / c;
    for step in 1..100_000 {
        let n = f64::from(step);
        let (t, w) = (n / a, n * (b - n) * x);
        let alpha = p * (p + c0) * (a / s).powi(2) * w * x;
        let beta = n + w / s + (1.0 + t) / (c1 + 2.0 * t) * (c + n * (1.0 + y));
        (p, s) = (1.0 + t, s + 2.0);
        above = [above[1], alpha * above[0] + beta * above[1]];
        below = [below[1], alpha * below[0] + beta * below[1]];
        let last = fraction;
        fraction = above[1] / below[1];
        if (fraction - last).abs() <= f64::EPSILON * fraction.abs() {
            break;
        }
        // To scale, as both grow with every step.
        (above, below) = ([above[0] / below[1], fraction], [below[0] / below[1], 1.0]);
    }
    fraction
}
