//! Adaptive Gauss–Kronrod quadrature of several integrands at once.

/// Kronrod's 21 nodes on [−1, 1]: the positive ones, outermost first, then 0 (QUADPACK, `qk21`).
const NODES: [f64; 11] = [
    0.995_657_163_025_808_1,
    0.973_906_528_517_171_7,
    0.930_157_491_355_708_2,
    0.865_063_366_688_984_5,
    0.780_817_726_586_416_9,
    0.679_409_568_299_024_4,
    0.562_757_134_668_604_7,
    0.433_395_394_129_247_2,
    0.294_392_862_701_460_2,
    0.148_874_338_981_631_22,
    0.0,
];

/// The weights of the 21 nodes.
const KRONROD: [f64; 11] = [
    0.011_694_638_867_371_874,
    0.032_558_162_307_964_725,
    0.054_755_896_574_351_995,
    0.075_039_674_810_919_96,
    0.093_125_454_583_697_6,
    0.109_387_158_802_297_64,
    0.123_491_976_262_065_84,
    0.134_709_217_311_473_34,
    0.142_775_938_577_060_09,
    0.147_739_104_901_338_49,
    0.149_445_554_002_916_9,
];

/// The weights of Gauss' ten nodes, which are every second of Kronrod's.
const GAUSS: [f64; 5] = [
    0.066_671_344_308_688_14,
    0.149_451_349_150_580_6,
    0.219_086_362_515_982_04,
    0.269_266_719_309_996_35,
    0.295_524_224_714_752_87,
];

/// More pieces than this mean that the integrand is no ordinary function.
const MAX_PIECES: usize = 4000;

#[derive(Clone, Copy)]
struct Piece<const K: usize> {
    low: f64,
    high: f64,
    value: [f64; K],
    error: f64,
}

fn piece<const K: usize>(low: f64, high: f64, integrand: &impl Fn(f64) -> [f64; K]) -> Piece<K> {
    let (middle, half) = ((low + high) / 2.0, (high - low) / 2.0);
    let centre = integrand(middle);
    let mut kronrod = centre.map(|value| value * KRONROD[10]);
    let mut gauss = [0.0; K];
    for (place, &node) in NODES[..10].iter().enumerate() {
        let left = integrand(middle - half * node);
        let right = integrand(middle + half * node);
        for k in 0..K {
            let sum = left[k] + right[k];
            kronrod[k] += KRONROD[place] * sum;
            if place % 2 == 1 {
                gauss[k] += GAUSS[place / 2] * sum;
            }
        }
    }
    let errors: [f64; K] = std::array::from_fn(|k| (kronrod[k] - gauss[k]).abs() * half);
    // `f64::max` passes over NaN.
    let finite = errors.iter().all(|error| error.is_finite());
    let error = if finite { errors.into_iter().fold(0.0, f64::max) } else { f64::INFINITY };
    Piece { low, high, value: kronrod.map(|value| value * half), error }
}

/// ∫ of K integrands over [`low`, `high`], to an absolute error of `tolerance` each: the piece with the largest error is
/// halved until the errors' sum is below it.
///
/// Returns `None` if that takes too many pieces or the integrand is not finite.
pub(crate) fn integrate<const K: usize>(
    low: f64,
    high: f64,
    tolerance: f64,
    integrand: impl Fn(f64) -> [f64; K],
) -> Option<[f64; K]> {
    let mut pieces = vec![piece(low, high, &integrand)];
    loop {
        let total: f64 = pieces.iter().map(|piece| piece.error).sum();
        if !total.is_finite() {
            return None;
        }
        if total <= tolerance {
            break;
        }
        let worst = (0..pieces.len()).max_by(|&a, &b| pieces[a].error.total_cmp(&pieces[b].error))?;
        if pieces.len() >= MAX_PIECES {
            return None;
        }
        let Piece { low, high, .. } = pieces[worst];
        let middle = (low + high) / 2.0;
        pieces[worst] = piece(low, middle, &integrand);
        pieces.push(piece(middle, high, &integrand));
    }
    // From left to right, so that the sum does not depend on the order of halving.
    pieces.sort_by(|a, b| a.low.total_cmp(&b.low));
    let mut sum = [0.0; K];
    for piece in &pieces {
        for (total, value) in sum.iter_mut().zip(piece.value) {
            *total += value;
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_integrals_come_out() {
        let [gauss, lorentz] = integrate(-40.0, 40.0, 1e-13, |x| [libm::exp(-x * x), 1.0 / (1.0 + x * x)]).unwrap();
        assert!((gauss - std::f64::consts::PI.sqrt()).abs() < 1e-13, "{gauss}");
        assert!((lorentz - 2.0 * libm::atan(40.0)).abs() < 1e-12, "{lorentz}");
    }

    #[test]
    fn what_is_not_finite_is_refused() {
        assert_eq!(integrate(0.0, 1.0, 1e-10, |_| [f64::NAN]), None);
    }
}
