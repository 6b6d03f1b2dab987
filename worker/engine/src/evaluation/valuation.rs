//! What a contract is worth, and how that moves, at every point of a set of paths.

use crate::RunConfig;
use crate::contract::Claim;
use crate::market::Paths;
use crate::pricing::{Greeks, HestonSlice, PricingError};

/// Prices and greeks of the contract as functions of price and variance, one function a point in time.
pub(crate) struct Valuation {
    claim: Claim,
    /// For each point the calls at the contract's strikes.
    points: Vec<Vec<(f64, HestonSlice)>>,
}

impl Valuation {
    /// The contract's valuation; `None` without a contract.
    ///
    /// # Errors
    /// If a price cannot be computed.
    pub(crate) fn of(config: &RunConfig) -> Result<Option<Valuation>, PricingError> {
        let Some(claim) = config.contract.claim() else { return Ok(None) };
        let (pricer, steps) = (config.market.first_pricer(), config.market.model().steps());
        let calls_at = |point: usize| {
            let maturity = (steps - point) as f64 * config.market.model().dt();
            let calls = |strike: f64| Ok((strike, HestonSlice::new(&pricer, strike, maturity)?));
            claim.strikes().into_iter().map(calls).collect::<Result<Vec<_>, PricingError>>()
        };
        let points = (0..=steps).map(calls_at).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(Valuation { claim, points }))
    }

    /// Bytes that it keeps.
    pub(crate) fn bytes(&self) -> u64 {
        self.points.iter().flatten().map(|(_, slice)| slice.bytes()).sum()
    }

    /// Bytes that a config's valuation keeps, from above: slices have some 350 nodes of 112 bytes on each contour.
    pub(crate) fn most_bytes(config: &RunConfig) -> u64 {
        let strikes = config.contract.claim().map_or(0, |claim| claim.strikes().len()) as u64;
        let points = config.market.model().steps() as u64 + 1;
        strikes * points * 2 * 350 * 112
    }

    /// The holder's price and greeks on these paths: \[T, B\], time-major.
    pub(crate) fn on(&self, paths: &Paths) -> Vec<Greeks> {
        let mut greeks = Vec::with_capacity(paths.points() * paths.count());
        for (point, calls) in self.points.iter().enumerate() {
            let states = paths.price.column(point).into_iter().zip(paths.variance.column(point));
            greeks.extend(states.map(|(spot, variance)| self.at(calls, *spot, *variance)));
        }
        greeks
    }

    fn at(&self, calls: &[(f64, HestonSlice)], spot: f64, variance: f64) -> Greeks {
        let call = |strike: f64| {
            let slice = calls.iter().find(|(known, _)| *known == strike).map(|(_, slice)| slice);
            Ok::<Greeks, std::convert::Infallible>(slice.expect("a slice for each strike").call(spot, variance))
        };
        let Ok(greeks) = self.claim.value(spot, call);
        greeks
    }
}
