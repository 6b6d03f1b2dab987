//! Prices of European options and their greeks: closed form and semi-analytic.

mod black_scholes;
mod complex;
mod greeks;
mod heston;
#[cfg(test)]
pub(crate) mod published;
mod quadrature;
mod slice;

pub use black_scholes::BlackScholes;
pub use greeks::Greeks;
pub use heston::{HestonPricer, PricingError};
#[cfg(test)]
pub(crate) use quadrature::integrate;
pub use slice::{HestonSlice, LARGEST_CORRELATION};
