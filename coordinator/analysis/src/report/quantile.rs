//! Quantiles, for drawing.

/// A quantile of values in rising order, between neighbours by share (Hyndman and Fan's type 7, NumPy's default); `None` for no values.
pub(super) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share.clamp(0.0, 1.0) * (sorted.len().checked_sub(1)?) as f64;
    let (left, right) = (place.floor() as usize, place.ceil() as usize);
    let (low, high) = (sorted[left], sorted[right]);
    // Equal neighbours have no share of their own, be they infinite.
    Some(if low == high { low } else { low + (place - left as f64) * (high - low) })
}

/// Minimum, lower quartile, median, upper quartile and maximum of values in rising order.
pub(super) fn five(sorted: &[f64]) -> Option<[f64; 5]> {
    let mut five = [0.0; 5];
    for (place, share) in [0.0, 0.25, 0.5, 0.75, 1.0].into_iter().enumerate() {
        five[place] = quantile(sorted, share)?;
    }
    Some(five)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile([1, 2, 4, 8], [0, .25, .5, .75, 1])
        assert_eq!(five(&[1.0, 2.0, 4.0, 8.0]), Some([1.0, 1.75, 3.0, 5.0, 8.0]));
        assert_eq!(five(&[3.0]), Some([3.0; 5]));
        assert_eq!(five(&[]), None);
    }
}
