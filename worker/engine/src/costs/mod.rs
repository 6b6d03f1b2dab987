//! Trading costs.

mod proportional;

pub use proportional::Proportional;

use crate::config::declare::{choices, kinds};
use crate::config::{Field, KeyError};
use crate::loss::{Loss, Units};
use crate::real::Real;

kinds! {
    /// The cost model.
    pub enum Costs by "model" {
        /// In proportion to what is traded.
        Proportional(Proportional) = "proportional",
    }
}

choices! {
    /// What a trade's size is measured in.
    pub enum CostBase {
        /// Units of the underlying: the cost of Δδ is `rate·|Δδ|`, as in the paper's code.
        Units = "units",
        /// Notional: the cost of Δδ at price S is `rate·S·|Δδ|`.
        Notional = "notional",
    }
}

/// What was held at which price, time-major.
#[derive(Clone, Copy, Debug)]
pub struct Book<'a, R> {
    /// Positions δ_t: \[D, B\], for all points or for all but the last.
    pub positions: &'a [R],
    /// Prices S_t, in currency: \[T, B\].
    pub price: &'a [R],
    /// B: paths.
    pub batch: usize,
}

/// A cost model: what trading from one position to the next costs.
pub trait CostModel<R: Real> {
    /// What trading one unit of the underlying costs at this price.
    fn unit_cost(&self, price: R) -> R;

    /// What is charged on each path at each point, \[T, B\], in the loss's units.
    fn charges(&self, book: Book<'_, R>, out: &mut Vec<R>);

    /// Σ|Δδ| over the trades that are charged, one a path.
    fn turnover(&self, book: Book<'_, R>, out: &mut Vec<R>);

    /// Adds to the positions' gradient what comes from that of each path's cost, `d_cost` \[B\].
    fn backward(&self, book: Book<'_, R>, d_cost: &[R], d_positions: &mut [R]);
}

impl Costs {
    /// Appends what is wrong with keys that do not fit together.
    pub(crate) fn check(&self, loss: &Loss, errors: &mut Vec<KeyError>) {
        let Costs::Proportional(Proportional { base, .. }) = self;
        if *base == CostBase::Notional && loss.objective().units() == Units::Normalized {
            let problem = "is in currency, and loss.units is normalized: P&L in standard deviations of the price";
            errors.push(KeyError {
                allowed: Some("units, or loss.units: currency".to_owned()),
                ..KeyError::conflict("costs.base", Some(base.value()), problem)
            });
        }
    }

    /// The cost model.
    pub fn model<R: Real>(&self) -> &dyn CostModel<R> {
        match self {
            Costs::Proportional(proportional) => proportional,
        }
    }
}

/// Each path's sum over time of a \[T, B\] array.
pub fn sum_over_time<R: Real>(array: &[R], batch: usize, out: &mut Vec<R>) {
    out.clear();
    out.resize(batch, R::ZERO);
    for row in array.chunks_exact(batch) {
        out.iter_mut().zip(row).for_each(|(sum, x)| *sum += *x);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Preset, RunConfig, Value};

    #[test]
    fn costs_in_currency_beside_pnl_in_standard_deviations_are_refused() {
        let notional = ("costs.base", &Value::from("notional"));
        let errors = RunConfig::resolve(Preset::Paper, 0, [notional]).unwrap_err();
        assert!(errors[0].to_string().starts_with("costs.base: notional is in currency"), "{}", errors[0]);
        assert!(RunConfig::resolve(Preset::Paper, 0, [notional, ("loss.units", &"currency".into())]).is_ok());
    }
}
