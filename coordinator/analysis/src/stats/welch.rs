//! Welch's t test of two samples.

use super::moments::Moments;
use super::student::{TTest, two_sided_p};

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
