//! Tests and estimates over plain samples.

use std::f64::consts::PI;

/// The mean; `None` for no values.
pub fn mean(values: &[f64]) -> Option<f64> {
    // From the first value on, so that equal values have exactly their own mean.
    let first = *values.first()?;
    Some(first + values.iter().map(|value| value - first).sum::<f64>() / values.len() as f64)
}

/// The standard deviation with n − 1; `None` for fewer than two values.
pub fn sd(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let centre = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - centre) * (value - centre)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// A t statistic and its two-sided p.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TTest {
    /// The statistic.
    pub t: Option<f64>,
    /// The probability of one at least as far from zero.
    pub p: Option<f64>,
}

/// What differences of pairs say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Paired {
    /// The paired t test.
    pub test: TTest,
    /// The mean difference over the SD of the differences.
    pub d_z: Option<f64>,
}

/// The paired t test on differences.
///
/// Fewer than two differences say nothing. All zero: p is 1. All equal and not zero: there is no noise to hold the
/// difference against, so t, p and d_z are `None`.
pub fn paired_t(differences: &[f64]) -> Paired {
    let n = differences.len() as f64;
    let (Some(centre), Some(spread)) = (mean(differences), sd(differences)) else { return Paired::default() };
    if differences.iter().all(|difference| *difference == differences[0]) {
        let p = (differences[0] == 0.0).then_some(1.0);
        return Paired { test: TTest { t: None, p }, d_z: None };
    }
    let d_z = centre / spread;
    let t = d_z * n.sqrt();
    Paired { test: TTest { t: Some(t), p: Some(two_sided_p(t, n - 1.0)) }, d_z: Some(d_z) }
}

/// A sample's size, mean and variance: all that Welch's test looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    n: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Takes a value in, by Welford's update.
    pub fn push(&mut self, value: f64) {
        self.n += 1;
        let before = value - self.mean;
        self.mean += before / self.n as f64;
        self.squares += before * (value - self.mean);
    }

    /// Number of values.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// The mean.
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0).then_some(self.mean)
    }

    /// The variance of the population: with n.
    pub fn population_variance(&self) -> Option<f64> {
        (self.n > 0).then(|| self.squares / self.n as f64)
    }

    /// The variance of the sample: with n − 1.
    pub fn variance(&self) -> Option<f64> {
        (self.n > 1).then(|| self.squares / (self.n - 1) as f64)
    }

    /// Mean over (population SD + 1e-6), as the paper has it.
    pub fn sharpe(&self) -> Option<f64> {
        Some(self.mean()? / (self.population_variance()?.sqrt() + 1e-6))
    }
}

impl FromIterator<f64> for Moments {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Moments {
        let mut moments = Moments::default();
        values.into_iter().for_each(|value| moments.push(value));
        moments
    }
}

/// Welch's t test of `left` − `right`, its degrees of freedom by Welch and Satterthwaite.
///
/// `None` for fewer than two values on a side. If neither side varies, p is 1 for equal means, else there is none.
pub fn welch_t(left: &Moments, right: &Moments) -> TTest {
    let (Some(left_variance), Some(right_variance)) = (left.variance(), right.variance()) else {
        return TTest::default();
    };
    let difference = left.mean - right.mean;
    let (left_se, right_se) = (left_variance / left.n as f64, right_variance / right.n as f64);
    let squared_se = left_se + right_se;
    if squared_se == 0.0 {
        return TTest { t: None, p: (difference == 0.0).then_some(1.0) };
    }
    let t = difference / squared_se.sqrt();
    // Relative shares of the variance, so that tiny variances do not vanish when squared.
    let (left_share, right_share) = (left_se / squared_se, right_se / squared_se);
    let freedom =
        1.0 / (left_share * left_share / (left.n - 1) as f64 + right_share * right_share / (right.n - 1) as f64);
    TTest { t: Some(t), p: Some(two_sided_p(t, freedom)) }
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
        front / half * beta_fraction(half, 0.5, x)
    } else {
        1.0 - front / 0.5 * beta_fraction(0.5, half, rest)
    }
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

/// The continued fraction of the incomplete beta function, by Lentz's method. It converges within some √max(a, b)
/// steps where x < (a + 1)/(a + b + 2).
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let away = |value: f64| if value.abs() < f64::MIN_POSITIVE { f64::MIN_POSITIVE } else { value };
    let (mut c, mut d) = (1.0, 1.0 / away(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for step in 1..100_000 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        fraction *= c * d;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        fraction *= c * d;
        if (c * d - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    fraction
}

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
