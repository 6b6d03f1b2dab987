//! The Heston model: dS = μS dt + √V S dW¹, dV = κ(θ − V)dt + ξ√V dW², corr(dW¹, dW²) = ρ (Heston 1993).

use crate::config::field::{choices, section};
use crate::config::{Field, KeyError, Range};

choices! {
    /// How the variance is kept usable when a discrete step makes it negative.
    pub enum Scheme {
        /// The notebook's: negative variance is stored, and counts as zero in the next step (Enkhbayar 2024).
        Absorption = "absorption",
        /// Full truncation with a log-Euler price (Lord, Koekkoek, van Dijk 2010).
        FullTruncation = "full_truncation",
    }
}

choices! {
    /// Where the normals come from.
    pub enum Generator {
        /// ChaCha streams addressed by purpose, seed and path.
        Chacha = "chacha",
        /// NumPy's legacy stream, one after the other, to replay published runs.
        NumpyMt19937 = "numpy_mt19937",
    }
}

section! {
    /// The Heston model's parameters and its discretisation. Rates and variances are per year.
    pub struct Heston {
        /// Initial price.
        s0: f64 = 1.0, Range::POSITIVE;
        /// Initial variance, per year.
        v0: f64 = 0.04, Range::NON_NEGATIVE;
        /// Long-run variance, per year.
        theta: f64 = 0.04, Range::NON_NEGATIVE;
        /// Speed of mean reversion of the variance, per year.
        kappa: f64 = 2.0, Range::NON_NEGATIVE;
        /// Volatility of the variance.
        xi: f64 = 0.5, Range::NON_NEGATIVE;
        /// Correlation of the price's and the variance's Brownian motions.
        rho: f64 = -0.7, Range::closed(-1.0, 1.0);
        /// Drift of the price, per year.
        mu: f64 = 0.0, Range::ANY;
        /// Number of time steps; a path has one point more.
        steps: u64 = 50, Range::closed(1.0, 100_000.0);
        /// Length of a time step, in years.
        dt: f64 = 1.0 / 250.0, Range::POSITIVE;
        /// Discretisation scheme.
        scheme: Scheme = Scheme::Absorption, Range::ANY;
        /// Source of the training paths' normals.
        generator: Generator = Generator::Chacha, Range::ANY;
        /// Seed of the NumPy stream, below 2³²; only with generator numpy_mt19937, which needs it.
        generator_seed: Option<u64> = None, Range::closed(0.0, 4_294_967_295.0);
        /// How many normals of the NumPy stream were taken by earlier runs; only with generator numpy_mt19937.
        generator_skip: Option<u64> = None, Range::closed(0.0, 1e12);
    }
}

impl Heston {
    /// Appends what is wrong with keys that do not fit together.
    pub(crate) fn check(&self, errors: &mut Vec<KeyError>) {
        let replay = self.generator == Generator::NumpyMt19937;
        if replay && self.generator_seed.is_none() {
            errors.push(KeyError::conflict(
                "market.generator_seed",
                None,
                "is missing: generator numpy_mt19937 needs the seed of its stream",
            ));
        }
        for (key, value) in
            [("market.generator_seed", self.generator_seed), ("market.generator_skip", self.generator_skip)]
        {
            if !replay && value.is_some() {
                let problem = "is only for market.generator numpy_mt19937";
                errors.push(KeyError::conflict(key, Some(value.value()), problem));
            }
        }
    }
}
