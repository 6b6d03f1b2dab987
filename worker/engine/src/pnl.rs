//! P&L of positions: what the contract settles to, plus Σ_k δ_k (x_{k+1} − x_k), with x the price in the loss's units.

use crate::RunConfig;
use crate::contract::{Claim, Contract};
use crate::features::Scales;
use crate::loss::Units;
use crate::market::Paths;
use crate::network::Dims;
use crate::pricing::PricingError;
use crate::real::Real;

/// How P&L is counted: in which units, and with which contract at which premium.
#[derive(Clone, Debug)]
pub struct Accounts {
    units: Units,
    claim: Option<Claim>,
    premium: Option<f64>,
    contract: Contract,
}

impl Accounts {
    /// Those of a config.
    ///
    /// # Errors
    /// If the premium cannot be computed.
    pub fn of(config: &RunConfig) -> Result<Accounts, PricingError> {
        Ok(Accounts {
            units: config.loss.objective().units(),
            claim: config.contract.claim(),
            premium: config.premium()?,
            contract: config.contract.clone(),
        })
    }

    /// What is charged for the contract, in currency; `None` without a contract.
    pub fn premium(&self) -> Option<f64> {
        self.premium
    }

    /// What premium and contract together come to, in the loss's units, when the contract is worth `value`; 0 without a
    /// contract.
    pub fn gain(&self, value: f64, scales: &Scales) -> f64 {
        let (Some(claim), Some(premium)) = (&self.claim, self.premium) else { return 0.0 };
        let unit = match self.units {
            Units::Currency => 1.0,
            Units::Normalized => f64::from(scales.price.unit()),
        };
        claim.gain(premium, value) / unit
    }
}

/// What the prices of a batch do, time-major.
#[derive(Clone, Debug, Default)]
pub struct Moves<R> {
    /// B and D, the number of decisions.
    pub dims: Dims,
    /// x_{t+1} − x_t in the loss's units: \[T − 1, B\].
    pub increments: Vec<R>,
    /// Prices in currency, for costs: \[T, B\].
    pub price: Vec<R>,
    /// What premium and payoff come to, in the loss's units: \[B\].
    pub settlement: Vec<R>,
}

impl<R: Real> Moves<R> {
    /// Takes the moves of these paths. Normalised prices are differenced after they were scaled in f32, as the notebook
    /// does; prices in currency before they are rounded.
    pub fn fill(&mut self, paths: &Paths, accounts: &Accounts, scales: &Scales) {
        let (batch, time) = (paths.count(), paths.points());
        self.dims = Dims { batch, time: accounts.contract.decisions(time) };
        self.price.resize(time * batch, R::ZERO);
        self.increments.resize((time - 1) * batch, R::ZERO);
        for (path, price) in paths.price.rows().into_iter().enumerate() {
            let price = price.to_slice().expect("rows of a standard layout");
            self.price[path..].iter_mut().step_by(batch).zip(price).for_each(|(out, price)| *out = R::from_f64(*price));
            let steps = self.increments[path..].iter_mut().step_by(batch).zip(price.windows(2));
            match accounts.units {
                Units::Currency => steps.for_each(|(out, ends)| *out = R::from_f64(ends[1] - ends[0])),
                Units::Normalized => {
                    let scaled = |x: f64| R::from_f64(f64::from(scales.price.apply(x as f32)));
                    let mut now = scaled(price[0]);
                    for (out, ends) in steps {
                        let next = scaled(ends[1]);
                        *out = next - now;
                        now = next;
                    }
                }
            }
        }
        let payoff = |spot: &f64| accounts.claim.as_ref().map_or(0.0, |claim| claim.payoff(*spot));
        let gains = paths.price.column(time - 1).into_iter().map(|spot| accounts.gain(payoff(spot), scales));
        self.settlement.clear();
        self.settlement.extend(gains.map(R::from_f64));
    }

    /// Each path's P&L, gross of costs, from positions \[D, B\].
    pub fn pnl(&self, positions: &[R], out: &mut Vec<R>) {
        let batch = self.dims.batch;
        out.clear();
        out.extend_from_slice(&self.settlement);
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
    use crate::config::{Preset, Value};
    use crate::features::{Inputs, ScalesFit};
    use ndarray::array;

    fn paths() -> Paths {
        Paths::new(array![[100.0, 101.0, 99.0], [100.0, 98.0, 98.5]], array![[0.04; 3], [0.04; 3]])
    }

    fn moves(preset: Preset, keys: &[(&str, Value)]) -> Moves<f64> {
        let config = RunConfig::resolve(preset, 0, keys.iter().map(|(key, value)| (*key, value))).unwrap();
        let mut fit = ScalesFit::new(Inputs::of(&config));
        fit.push(&paths());
        let mut moves = Moves::<f64>::default();
        moves.fill(&paths(), &Accounts::of(&config).unwrap(), &fit.scales());
        moves
    }

    #[test]
    fn pnl_in_currency_is_position_times_move() {
        let moves = moves(Preset::Paper, &[("loss.units", "currency".into())]);
        let mut pnl = Vec::new();
        moves.pnl(&[0.5, -1.0, 0.25, 2.0, 9.0, 9.0], &mut pnl);
        assert_eq!(pnl, [0.5 * 1.0 - 0.25 * 2.0, 2.0 + 2.0 * 0.5]);
        let mut d_positions = vec![0.0; 6];
        moves.backward(&[1.0, 10.0], &mut d_positions);
        assert_eq!(d_positions, [1.0, -20.0, -2.0, 5.0, 0.0, 0.0], "the last position earns nothing");
    }

    #[test]
    fn an_option_settles_and_nothing_is_held_after_it() {
        let premium = ("contract.premium", Value::Float(3.0));
        let strike = ("contract.strike", Value::Float(98.75));
        let short = moves(Preset::Hedging, &[premium.clone(), strike.clone()]);
        assert_eq!(short.dims, Dims { batch: 2, time: 2 });
        let mut pnl = Vec::new();
        short.pnl(&[0.5, -1.0, 0.25, 2.0], &mut pnl);
        assert_eq!(pnl, [3.0 - 0.25 + 0.5 * 1.0 - 0.25 * 2.0, 3.0 + 2.0 + 2.0 * 0.5]);
        let long = moves(Preset::Hedging, &[premium, strike, ("contract.side", "long".into())]);
        long.pnl(&[0.0; 4], &mut pnl);
        assert_eq!(pnl, [0.25 - 3.0, -3.0]);
    }

    #[test]
    fn normalised_pnl_needs_no_price_feature() {
        let [a, b] = ["price", "variance"]
            .map(|feature| moves(Preset::Paper, &[("features", Value::List(vec![feature.into()]))]).increments);
        assert_eq!(a, b);
        assert!(a.iter().any(|x| x.abs() > 0.5), "standard deviations, not currency");
    }

    #[test]
    fn a_settlement_is_in_the_units_of_the_moves() {
        let option = [("contract.kind", "european_call".into()), ("contract.premium", Value::Float(3.0))];
        let normalised = moves(Preset::Paper, &option);
        let currency = moves(Preset::Paper, &[option.to_vec(), vec![("loss.units", "currency".into())]].concat());
        let unit = currency.increments[0] / normalised.increments[0];
        for (a, b) in normalised.settlement.iter().zip(&currency.settlement) {
            // The increments are differences of f32 numbers near 1.
            assert!((a * unit - b).abs() < 1e-5 * b.abs());
        }
    }
}
