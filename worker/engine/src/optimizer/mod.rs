//! Optimisers: how the loss is minimised.

mod adam;
mod kfac;
mod sgd;

pub use adam::Adam;
pub use kfac::{GradientScale, Kfac, KfacLayers, Rest};
pub use sgd::Sgd;

use crate::config::field::{choices, kinds};

kinds! {
    /// The optimiser.
    pub enum Optimizer by "kind" {
        /// Adam, Kingma & Ba 2015.
        Adam(Adam) = "adam",
        /// Stochastic gradient descent with momentum.
        Sgd(Sgd) = "sgd",
        /// Kronecker-factored approximate curvature, Martens & Grosse 2015.
        Kfac(Kfac) = "kfac",
    }
}

choices! {
    /// Which layers are trained.
    pub enum Layers {
        /// All of them.
        All = "all",
        /// The head alone; the recurrent layer stays as it began.
        Head = "head",
    }
}
