//! Markets: how prices and variances move.

mod heston;
mod paths;

pub use heston::{Generator, Heston, Scheme};
pub use paths::Paths;

use crate::config::KeyError;
use crate::config::declare::kinds;
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

    /// How many normals a path takes.
    fn normals_per_path(&self) -> usize;

    /// Writes one path. `price` (currency) and `variance` (per year) have `steps + 1` points.
    fn path(&self, normals: &[f64], price: &mut [f64], variance: &mut [f64]);

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
