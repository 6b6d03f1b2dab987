//! The difference of two Sharpe ratios on the same paths.

use rand::Rng;

use super::moments::{mean, sd};
use super::normal::ZTest;
use super::resample::{count, quantile};
use super::{COVERAGE, Interval};

/// Resamples of the studentised bootstrap.
pub const SHARPE_RESAMPLES: usize = 999;

/// Mean over standard deviation (n − 1); `None` for fewer than two values, and for values without deviation.
pub fn sharpe(values: &[f64]) -> Option<f64> {
    let (centre, spread) = (mean(values)?, sd(values)?);
    (spread > 0.0).then(|| centre / spread)
}

/// Jobson's and Korkie's test as Memmel (2003) corrected it, for normal values: z of x's Sharpe ratio less y's, which has
/// the variance V/n with V = 2 − 2ρ + ½(SR₁² + SR₂² − 2 SR₁ SR₂ ρ²). p is 1 if V is zero, as it is for equal samples.
pub fn memmel(x: &[f64], y: &[f64]) -> ZTest {
    let (Some(first), Some(second)) = (sharpe(x), sharpe(y)) else { return ZTest::default() };
    let n = x.len() as f64;
    let (Some(x_mean), Some(y_mean), Some(x_sd), Some(y_sd)) = (mean(x), mean(y), sd(x), sd(y)) else {
        return ZTest::default();
    };
    let products: f64 = x.iter().zip(y).map(|(x, y)| (x - x_mean) / x_sd * ((y - y_mean) / y_sd)).sum();
    let correlation = products / (n - 1.0);
    let variance = 2.0 - 2.0 * correlation
        + 0.5 * (first * first + second * second - 2.0 * first * second * correlation * correlation);
    if variance <= 4.0 * f64::EPSILON {
        return ZTest { z: None, p: Some(1.0) };
    }
    ZTest::of((first - second) * (n / variance).sqrt())
}

/// What the studentised bootstrap says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Studentised {
    /// x's Sharpe ratio less y's, over its standard error.
    pub statistic: f64,
    /// The probability of one at least as far from zero, from the resamples, the sample counted as one of them.
    pub p: f64,
    /// The symmetric interval of the difference.
    pub interval: Interval,
}

/// Ledoit's and Wolf's studentised bootstrap (2008) for independent paths: no normal values are assumed, and what is
/// resampled is nearly free of what is not known. `None` for samples without deviation, and for equal ones.
pub fn studentised_sharpe(random: &mut impl Rng, x: &[f64], y: &[f64]) -> Option<Studentised> {
    let n = x.len();
    let (x, y) = (centred(x)?, centred(y)?);
    let mut counts = vec![1_u32; n];
    let (difference, error) = difference_and_error(&x, &y, &counts)?;
    let statistic = difference / error;
    let mut far: Vec<f64> = Vec::with_capacity(SHARPE_RESAMPLES);
    for _ in 0..SHARPE_RESAMPLES {
        count(random, &mut counts);
        // A resample without deviation says that the paths are few: it counts as far.
        let far_from = |(resampled, error): (f64, f64)| (resampled - difference).abs() / error;
        far.push(difference_and_error(&x, &y, &counts).map_or(f64::INFINITY, far_from));
    }
    let as_far = far.iter().filter(|far| **far >= statistic.abs()).count();
    let half_width = quantile(&mut far, COVERAGE)? * error;
    let p = (1 + as_far) as f64 / (1 + SHARPE_RESAMPLES) as f64;
    half_width.is_finite().then(|| Studentised { statistic, p, interval: Interval::around(difference, half_width) })
}

/// A sample in units of its deviation, and its Sharpe ratio, apart, so that no sum cancels.
struct Centred {
    values: Vec<f64>,
    sharpe: f64,
}

fn centred(values: &[f64]) -> Option<Centred> {
    let (centre, spread) = (mean(values)?, sd(values)?);
    (spread > 0.0).then(|| Centred {
        values: values.iter().map(|value| (value - centre) / spread).collect(),
        sharpe: centre / spread,
    })
}

/// The difference of the ratios and its standard error by the delta method, with each path counted so often.
///
/// With z the values in units of their deviation and S the ratio, a path's influence on the ratio is z − ½S(z² − 1), and the
/// error that of the mean of the differences of both sides' influences.
fn difference_and_error(x: &Centred, y: &Centred, counts: &[u32]) -> Option<(f64, f64)> {
    let n = counts.len() as f64;
    let (mut x_sum, mut x_squares, mut y_sum, mut y_squares) = ([0.0; 4], [0.0; 4], [0.0; 4], [0.0; 4]);
    each(&x.values, &y.values, counts, |lane, x, y, count| {
        x_sum[lane] += count * x;
        x_squares[lane] += count * x * x;
        y_sum[lane] += count * y;
        y_squares[lane] += count * y * y;
    });
    let side = |centred: &Centred, sum: [f64; 4], squares: [f64; 4]| {
        let centre = sum.iter().sum::<f64>() / n;
        let spread = (squares.iter().sum::<f64>() / n - centre * centre).max(0.0).sqrt();
        (spread > 1e-12).then(|| (centre, 1.0 / spread, (centred.sharpe + centre) / spread))
    };
    let (x_centre, x_scale, x_sharpe) = side(x, x_sum, x_squares)?;
    let (y_centre, y_scale, y_sharpe) = side(y, y_sum, y_squares)?;
    let mut squares = [0.0; 4];
    each(&x.values, &y.values, counts, |lane, x, y, count| {
        let (x, y) = ((x - x_centre) * x_scale, (y - y_centre) * y_scale);
        let influence = (x - 0.5 * x_sharpe * (x * x - 1.0)) - (y - 0.5 * y_sharpe * (y * y - 1.0));
        squares[lane] += count * influence * influence;
    });
    let error = (squares.iter().sum::<f64>() / n / n).sqrt();
    (error > 1e-12 / n.sqrt()).then_some((x_sharpe - y_sharpe, error))
}

/// Shows the paths in four lanes, so that a sum need not wait for the one before.
#[inline(always)]
fn each(x: &[f64], y: &[f64], counts: &[u32], mut visit: impl FnMut(usize, f64, f64, f64)) {
    let (x_lanes, x_rest) = x.as_chunks::<4>();
    let (y_lanes, y_rest) = y.as_chunks::<4>();
    let (count_lanes, count_rest) = counts.as_chunks::<4>();
    for ((x, y), counts) in x_lanes.iter().zip(y_lanes).zip(count_lanes) {
        for lane in 0..4 {
            visit(lane, x[lane], y[lane], f64::from(counts[lane]));
        }
    }
    for (lane, ((x, y), count)) in x_rest.iter().zip(y_rest).zip(count_rest).enumerate() {
        visit(lane, *x, *y, f64::from(*count));
    }
}
