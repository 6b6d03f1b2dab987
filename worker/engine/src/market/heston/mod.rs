//! The Heston model: dS = μS dt + √V S dW¹, dV = κ(θ − V)dt + ξ√V dW², corr(dW¹, dW²) = ρ (Heston 1993).

mod euler;
mod qe;
mod reversion;

pub(crate) use reversion::{LEAST_XI, Reversion};

use euler::Absorption;

use super::{Model, numpy_normals};
use crate::config::declare::{choices, section};
use crate::config::{Field, KeyError, Range};
use crate::isa::Isa;
use crate::lanes::LANES;
use crate::random::{Normals, Purpose, StreamPerPath};

choices! {
    /// How the variance is kept usable when a discrete step makes it negative.
    pub enum Scheme {
        /// The notebook's: negative variance is stored, and counts as zero in the next step (Enkhbayar 2024).
        Absorption = "absorption",
        /// Full truncation with a log-Euler price (Lord, Koekkoek, van Dijk 2010).
        FullTruncation = "full_truncation",
        /// Quadratic-exponential with martingale correction: right at a few steps a year (Andersen 2008).
        Qe = "qe",
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
        /// How many normals of the NumPy stream were taken by earlier runs; only with generator numpy_mt19937. They are drawn again, some 20 ns each.
        generator_skip: Option<u64> = None, Range::closed(0.0, 1e10);
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
        if self.scheme == Scheme::Qe && !self.qe_correction_exists() {
            let problem = format!(
                "is too long a step for scheme qe at market.rho {} and market.xi {}: its martingale correction is infinite",
                self.rho, self.xi
            );
            let mut error = KeyError::conflict("market.dt", Some(self.dt.value()), problem);
            error.help = Some("take a smaller market.dt, or market.scheme full_truncation".to_owned());
            errors.push(error);
        }
    }
}

impl Model for Heston {
    fn steps(&self) -> usize {
        self.steps as usize
    }

    fn dt(&self) -> f64 {
        self.dt
    }

    fn normals_per_path(&self) -> usize {
        2 * self.steps()
    }

    fn path(&self, normals: &[f64], price: &mut [f64], variance: &mut [f64]) {
        match self.scheme {
            Scheme::Absorption => self.absorption(normals, price, variance),
            Scheme::FullTruncation => self.full_truncation(normals, price, variance),
            Scheme::Qe => self.qe(normals, price, variance),
        }
    }

    fn paths(&self, normals: &[f64], price: &mut [f64], variance: &mut [f64]) {
        let (points, taken) = (self.steps() + 1, self.normals_per_path());
        let groups = normals.chunks(LANES * taken).zip(price.chunks_mut(LANES * points));
        for ((normals, price), variance) in groups.zip(variance.chunks_mut(LANES * points)) {
            if self.scheme == Scheme::Absorption && normals.len() == LANES * taken {
                Isa::detect().run(Absorption { heston: self, normals, price, variance });
            } else {
                let rows = price.chunks_exact_mut(points).zip(variance.chunks_exact_mut(points));
                for (normals, (price, variance)) in normals.chunks_exact(taken).zip(rows) {
                    self.path(normals, price, variance);
                }
            }
        }
    }

    fn training_normals(&self, seed: u64) -> Box<dyn Normals> {
        match (self.generator, self.generator_seed) {
            (Generator::NumpyMt19937, Some(seed)) => numpy_normals(seed, self.generator_skip.unwrap_or(0)),
            _ => Box::new(StreamPerPath { purpose: Purpose::TrainingPaths, seed }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use crate::market::Paths;

    fn simulate(heston: &Heston, count: usize) -> Paths {
        let mut paths = Paths::zeros(count, heston.steps() + 1);
        paths.simulate(heston, &mut StreamPerPath { purpose: Purpose::Test, seed: 0 }, 0);
        paths
    }

    #[test]
    fn absorption_is_the_notebooks_step() {
        let golden = golden::engine();
        let heston = Heston::default();
        let (mut price, mut variance) = (vec![0.0; 51], vec![0.0; 51]);
        heston.path(&golden.numbers("heston.normals"), &mut price, &mut variance);
        for (ours, expected) in [(price, "heston.absorption.price"), (variance, "heston.absorption.variance")] {
            golden::assert_close(&ours, &golden.numbers(expected), 1e-14);
        }
    }

    #[test]
    fn paths_together_have_the_bits_of_each_alone() {
        for scheme in [Scheme::Absorption, Scheme::FullTruncation, Scheme::Qe] {
            let heston = Heston { scheme, xi: 1.0, mu: 0.03, steps: 7, ..Heston::default() };
            let together = simulate(&heston, 21);
            for path in 0..21 {
                let mut normals = vec![0.0; heston.normals_per_path()];
                StreamPerPath { purpose: Purpose::Test, seed: 0 }.fill(path, &mut normals);
                let (mut price, mut variance) = ([0.0; 8], [0.0; 8]);
                heston.path(&normals, &mut price, &mut variance);
                let row = path as usize;
                assert_eq!(together.price.row(row).to_slice(), Some(&price[..]), "{scheme:?}, path {path}");
                assert_eq!(together.variance.row(row).to_slice(), Some(&variance[..]), "{scheme:?}, path {path}");
            }
        }
    }

    #[test]
    fn full_truncation_is_lords_scheme() {
        let golden = golden::engine();
        let heston = Heston { scheme: Scheme::FullTruncation, s0: 100.0, mu: 0.05, ..Heston::default() };
        let (mut price, mut variance) = (vec![0.0; 51], vec![0.0; 51]);
        heston.path(&golden.numbers("heston.normals"), &mut price, &mut variance);
        for (ours, expected) in [(price, "heston.full_truncation.price"), (variance, "heston.full_truncation.variance")]
        {
            golden::assert_close(&ours, &golden.numbers(expected), 1e-14);
        }
    }

    #[test]
    fn both_schemes_keep_the_martingale_and_the_mean_variance() {
        for scheme in [Scheme::Absorption, Scheme::FullTruncation] {
            // Variance that hardly reaches zero: there, both schemes have E V = θ.
            let heston = Heston { scheme, xi: 0.1, ..Heston::default() };
            let paths = simulate(&heston, 20_000);
            let last = heston.steps();
            for (values, mean) in [(&paths.price, 1.0), (&paths.variance, 0.04)] {
                let column = values.column(last).to_vec();
                let moments = crate::statistics::Moments::of(&column);
                let standard_error = (moments.variance() / column.len() as f64).sqrt();
                assert!((moments.mean() - mean).abs() < 4.0 * standard_error, "{scheme:?}: {}", moments.mean());
            }
        }
    }

    /// The semi-analytic prices of calls on the default market at 100, 50 steps ahead (Lewis's integral).
    #[test]
    fn full_truncation_prices_calls_semi_analytically() {
        let heston = Heston { scheme: Scheme::FullTruncation, s0: 100.0, ..Heston::default() };
        let paths = simulate(&heston, 100_000);
        let last = paths.price.column(heston.steps()).to_vec();
        for (strike, price) in [(90.0, 10.775_594_381_2), (100.0, 3.405_283_957_9), (110.0, 0.292_590_499_3)] {
            let payoffs: Vec<f64> = last.iter().map(|s| (s - strike).max(0.0)).collect();
            let moments = crate::statistics::Moments::of(&payoffs);
            let standard_error = (moments.variance() / payoffs.len() as f64).sqrt();
            let deviation = (moments.mean() - price) / standard_error;
            assert!(deviation.abs() < 4.0, "strike {strike}: {} is off by {deviation} standard errors", moments.mean());
        }
    }

    #[test]
    fn full_truncation_stores_no_negative_variance_where_absorption_does() {
        let wild = |scheme| simulate(&Heston { scheme, xi: 1.0, ..Heston::default() }, 200).variance;
        assert!(wild(Scheme::FullTruncation).iter().all(|v| *v >= 0.0));
        assert!(wild(Scheme::Absorption).iter().any(|v| *v < 0.0));
    }

    #[test]
    fn the_numpy_stream_runs_from_path_to_path() {
        let numpy = |skip| Heston {
            generator: Generator::NumpyMt19937,
            generator_seed: Some(5),
            generator_skip: Some(skip),
            ..Heston::default()
        };
        let mut both = Paths::zeros(2, 51);
        both.simulate(&numpy(0), &mut *numpy(0).training_normals(9), 0);
        let mut second = Paths::zeros(1, 51);
        second.simulate(&numpy(100), &mut *numpy(100).training_normals(9), 0);
        assert_eq!(both.price.row(1), second.price.row(0));
    }
}
