//! P&L of positions: Σ_{t<T−1} δ_t (x_{t+1} − x_t), with x the price in the loss's units.

use crate::features::Scales;
use crate::loss::Units;
use crate::market::Paths;
use crate::network::Dims;
use crate::real::Real;

/// What the prices of a batch do, time-major.
#[derive(Clone, Debug, Default)]
pub struct Moves<R> {
    /// B and T.
    pub dims: Dims,
    /// x_{t+1} − x_t in the loss's units: \[T − 1, B\].
    pub increments: Vec<R>,
    /// Prices in currency, for costs: \[T, B\].
    pub price: Vec<R>,
}

impl<R: Real> Moves<R> {
    /// Takes the moves of these paths. Normalised prices are differenced after they were scaled in f32, as the notebook
    /// does; prices in currency before they are rounded.
    pub fn fill(&mut self, paths: &Paths, units: Units, scales: &Scales) {
        let (batch, time) = (paths.count(), paths.points());
        self.dims = Dims { batch, time };
        self.price.clear();
        self.price.extend((0..time).flat_map(|t| paths.price.column(t).to_vec()).map(R::from_f64));
        self.increments.clear();
        for t in 0..time - 1 {
            let pairs = paths.price.column(t).into_iter().zip(paths.price.column(t + 1));
            match units {
                Units::Currency => self.increments.extend(pairs.map(|(now, next)| R::from_f64(next - now))),
                Units::Normalized => self.increments.extend(pairs.map(|(now, next)| {
                    let scaled = |x: f64| R::from_f64(f64::from(scales.price.apply(x as f32)));
                    scaled(*next) - scaled(*now)
                })),
            }
        }
    }

    /// Each path's P&L, gross of costs, from positions \[T, B\].
    pub fn pnl(&self, positions: &[R], out: &mut Vec<R>) {
        let batch = self.dims.batch;
        out.clear();
        out.resize(batch, R::ZERO);
        for (positions, increments) in positions.chunks_exact(batch).zip(self.increments.chunks_exact(batch)) {
            for ((sum, position), increment) in out.iter_mut().zip(positions).zip(increments) {
                *sum += *position * *increment;
            }
        }
    }

    /// Adds to the positions' gradient what comes from the P&L's, `d_pnl` \[B\].
    pub fn backward(&self, d_pnl: &[R], d_positions: &mut [R]) {
        let batch = self.dims.batch;
        for (d_positions, increments) in d_positions.chunks_exact_mut(batch).zip(self.increments.chunks_exact(batch)) {
            for ((d_position, d_pnl), increment) in d_positions.iter_mut().zip(d_pnl).zip(increments) {
                *d_position += *d_pnl * *increment;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{Features, ScalesFit};
    use ndarray::array;

    fn paths() -> Paths {
        Paths { price: array![[100.0, 101.0, 99.0], [100.0, 98.0, 98.5]], variance: array![[0.04; 3], [0.04; 3]] }
    }

    #[test]
    fn pnl_in_currency_is_position_times_move() {
        let paths = paths();
        let features = Features::default();
        let mut fit = ScalesFit::new(&features);
        fit.push(&paths);
        let mut moves = Moves::<f64>::default();
        moves.fill(&paths, Units::Currency, &fit.scales());
        let mut pnl = Vec::new();
        moves.pnl(&[0.5, -1.0, 0.25, 2.0, 9.0, 9.0], &mut pnl);
        assert_eq!(pnl, [0.5 * 1.0 - 0.25 * 2.0, 2.0 + 2.0 * 0.5]);
        let mut d_positions = vec![0.0; 6];
        moves.backward(&[1.0, 10.0], &mut d_positions);
        assert_eq!(d_positions, [1.0, -20.0, -2.0, 5.0, 0.0, 0.0], "the last position earns nothing");
    }

    #[test]
    fn normalised_pnl_needs_no_price_feature() {
        let paths = paths();
        let mut results = Vec::new();
        for inputs in [vec![crate::features::Feature::Price], vec![crate::features::Feature::Variance]] {
            let features = Features { features: inputs, ..Features::default() };
            let mut fit = ScalesFit::new(&features);
            fit.push(&paths);
            let mut moves = Moves::<f64>::default();
            moves.fill(&paths, Units::Normalized, &fit.scales());
            results.push(moves.increments);
        }
        assert_eq!(results[0], results[1]);
        assert!(results[0].iter().any(|x| x.abs() > 0.5), "standard deviations, not currency");
    }
}
