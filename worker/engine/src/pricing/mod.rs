//! Semi-analytic prices of European options and their greeks.

mod complex;
mod heston;
mod quadrature;

pub use heston::{Greeks, HestonPricer, PricingError};
