//! Tests of equal variances of two samples paired by path.

use super::moments::mean;
use super::paired::paired_t;
use super::student::{TTest, two_sided_p};

/// Grambsch's test (1994, *Simple robust tests for scale differences in paired data*): x and y have equal variances if and
/// only if their sum and difference are uncorrelated, and the t test of the products (s − s̄)(d − d̄) asks for that without
/// assuming normal values. The statistic is positive where x varies more.
///
/// Fewer than two pairs, and pairs without noise, have none; if no product differs from zero, p is 1.
pub fn grambsch(x: &[f64], y: &[f64]) -> TTest {
    let Some((sums, differences)) = sums_and_differences(x, y) else { return TTest::default() };
    let products: Vec<f64> = sums.iter().zip(&differences).map(|(sum, difference)| sum * difference).collect();
    paired_t(&products).test
}

/// Pitman's and Morgan's test (1939): t of the correlation of sum and difference. Exact for normal pairs, wrong for heavy
/// tails. The statistic is positive where x varies more.
///
/// Fewer than three pairs have none. If sum or difference is constant, the variances are equal, and p is 1.
pub fn pitman_morgan(x: &[f64], y: &[f64]) -> TTest {
    let Some((sums, differences)) = sums_and_differences(x, y).filter(|_| x.len() > 2) else { return TTest::default() };
    let (mut products, mut of_sums, mut of_differences) = (0.0, 0.0, 0.0);
    for (sum, difference) in sums.iter().zip(&differences) {
        products += sum * difference;
        of_sums += sum * sum;
        of_differences += difference * difference;
    }
    if of_sums == 0.0 || of_differences == 0.0 {
        return TTest { t: None, p: Some(1.0) };
    }
    let freedom = (x.len() - 2) as f64;
    // r/√(1 − r²), which does not cancel where r is close to 1.
    let rest = of_sums * of_differences - products * products;
    if rest <= 0.0 {
        return TTest { t: None, p: Some(0.0) };
    }
    let t = products * (freedom / rest).sqrt();
    TTest { t: Some(t), p: Some(two_sided_p(t, freedom)) }
}

/// Sums and differences of the pairs, each less its mean.
fn sums_and_differences(x: &[f64], y: &[f64]) -> Option<(Vec<f64>, Vec<f64>)> {
    let centred = |values: Vec<f64>| {
        let centre = mean(&values)?;
        Some(values.into_iter().map(|value| value - centre).collect::<Vec<f64>>())
    };
    let pairs = || x.iter().zip(y);
    let sums = centred(pairs().map(|(x, y)| x + y).collect())?;
    let differences = centred(pairs().map(|(x, y)| x - y).collect())?;
    Some((sums, differences))
}
