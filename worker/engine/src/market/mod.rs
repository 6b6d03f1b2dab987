//! Markets: how prices and variances move.

mod heston;
mod paths;
mod pricer;

pub use heston::{Generator, Heston, Scheme};
pub(crate) use heston::{LEAST_XI, Reversion};
pub use paths::Paths;

use crate::config::declare::kinds;
use crate::config::{KeyError, Tagged};
use crate::contract::Contract;
use crate::pricing::{HestonPricer, LARGEST_CORRELATION};
use crate::random::{Normals, NumpyLegacy, Purpose, StreamPerPath};

kinds! {
    /// The market model.
    pub enum Market by "model" {
        /// Stochastic variance, Heston 1993.
        Heston(Heston) = "heston",
    }
}

/// A market model: how normals become a path.
pub trait Model {
    /// Number of time steps; a path has one point more.
    fn steps(&self) -> usize;

    /// Length of a time step, in years.
    fn dt(&self) -> f64;

    /// How many normals a path takes.
    fn normals_per_path(&self) -> usize;

    /// Writes one path. `price` (currency) and `variance` (per year) have `steps + 1` points.
    fn path(&self, normals: &[f64], price: &mut [f64], variance: &mut [f64]);

    /// Writes several paths, whose normals, prices and variances lie one path after the other: each as [`Model::path`] would.
    fn paths(&self, normals: &[f64], price: &mut [f64], variance: &mut [f64]) {
        let points = self.steps() + 1;
        let rows = price.chunks_exact_mut(points).zip(variance.chunks_exact_mut(points));
        for (normals, (price, variance)) in normals.chunks_exact(self.normals_per_path()).zip(rows) {
            self.path(normals, price, variance);
        }
    }

    /// The source of the training paths' normals under this seed.
    fn training_normals(&self, seed: u64) -> Box<dyn Normals> {
        Box::new(StreamPerPath { purpose: Purpose::TrainingPaths, seed })
    }
}

impl Market {
    /// The model.
    pub fn model(&self) -> &dyn Model {
        match self {
            Market::Heston(heston) => heston,
        }
    }

    /// How options on this market are valued at the first point: at rate 0, whatever its drift.
    pub fn first_pricer(&self) -> HestonPricer {
        match self {
            Market::Heston(heston) => heston.pricer(),
        }
    }

    /// Length of a path, in years.
    pub fn maturity(&self) -> f64 {
        self.model().steps() as f64 * self.model().dt()
    }

    /// Appends what keeps a contract from being valued along the way. Computing a price would take too long for a sweep
    /// of many cells; a price that cannot be computed for another reason fails the run.
    pub(crate) fn check_contract(&self, contract: &Contract, errors: &mut Vec<KeyError>) {
        let pricer = self.first_pricer();
        if contract.claim().is_some() && pricer.xi >= LEAST_XI && pricer.rho.abs() > LARGEST_CORRELATION {
            let problem = format!("leaves contract.kind {} without greeks along the way", contract.kind());
            errors.push(KeyError {
                allowed: Some(format!(
                    "from −{LARGEST_CORRELATION} to {LARGEST_CORRELATION} where there is a contract"
                )),
                ..KeyError::conflict("market.rho", Some(pricer.rho.into()), problem)
            });
        }
    }

    /// Appends what is wrong with keys that do not fit together.
    pub(crate) fn check(&self, errors: &mut Vec<KeyError>) {
        match self {
            Market::Heston(heston) => heston.check(errors),
        }
    }
}

/// The normals of the stream that NumPy's legacy generator makes of a seed, after `skip` of them.
pub(crate) fn numpy_normals(seed: u64, skip: u64) -> Box<dyn Normals> {
    let seed = u32::try_from(seed).expect("checked: below 2³²");
    Box::new(NumpyLegacy::new(seed).skip(skip))
}

#[cfg(test)]
mod tests {
    use crate::config::{Preset, RunConfig, Value};

    #[test]
    fn a_contract_needs_a_correlation_that_leaves_the_variance_some_noise_of_its_own() {
        let refused = |rho: f64, xi: f64, kind: &str| {
            let keys: [(&str, Value); 5] = [
                ("market.rho", rho.into()),
                ("market.xi", xi.into()),
                ("contract.kind", kind.into()),
                ("features", Value::List(vec!["price".into()])),
                ("evaluation.hedges", Value::List(vec![])),
            ];
            RunConfig::resolve(Preset::Hedging, 0, keys.iter().map(|(key, value)| (*key, value))).err()
        };
        let errors = refused(-1.0, 0.5, "straddle").unwrap();
        assert_eq!(
            errors[0].to_string(),
            "market.rho: -1.0 leaves contract.kind straddle without greeks along the way; allowed: from −0.9995 to 0.9995 where there is a contract"
        );
        assert!(refused(-0.9995, 0.5, "straddle").is_none());
        assert!(refused(-1.0, 1e-4, "straddle").is_none(), "the variance is deterministic");
        assert!(refused(-1.0, 0.5, "none").is_none());
    }
}
