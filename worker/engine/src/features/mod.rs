//! Features: what the network sees at each step.

mod price;
mod scale;
mod variance;

pub use scale::Scale;

use scale::Fit;

use crate::config::declare::{choices, section};
use crate::config::{Field, KeyError, Range};
use crate::market::Paths;
use crate::real::Real;

choices! {
    /// One input of the network.
    pub enum Feature {
        /// The price S_t.
        Price = "price",
        /// The variance V_t as simulated, which the absorption scheme can make negative.
        Variance = "variance",
    }
}

choices! {
    /// How features are brought to a common scale.
    pub enum Normalization {
        /// z-scored over the set of paths at hand, with the (n − 1) standard deviation + 1e-6 (the paper's code): a training batch by its own statistics, a held-out set by those of the whole set.
        Batch = "batch",
    }
}

section! {
    /// The network's inputs and their scale.
    pub struct Features {
        /// The inputs, in order; at least one.
        features: Vec<Feature> = vec![Feature::Price, Feature::Variance], Range::ANY;
        /// How they are brought to a common scale.
        normalization: Normalization = Normalization::Batch, Range::ANY;
    }
}

/// What a feature is, as a function of the paths up to a point.
pub trait Column {
    /// The feature's value on one path at one point, before it is scaled. It must not look beyond `point`.
    fn at(&self, paths: &Paths, path: usize, point: usize) -> f64;
}

impl Feature {
    /// The feature's type: one file and one line a feature.
    pub fn column(self) -> &'static dyn Column {
        match self {
            Feature::Price => &price::Price,
            Feature::Variance => &variance::Variance,
        }
    }
}

impl Features {
    /// Appends what is wrong with keys that do not fit together.
    pub(crate) fn check(&self, errors: &mut Vec<KeyError>) {
        if self.features.is_empty() {
            errors.push(KeyError {
                key: "features".into(),
                value: Some(self.features.value()),
                problem: "is empty: the network needs something to see".into(),
                allowed: Some("at least one feature".into()),
                help: None,
            });
        }
    }
}

/// The scales of a set of paths: of each feature, and of the price, in whose standard deviations the P&L may be.
#[derive(Clone, Debug, PartialEq)]
pub struct Scales {
    /// One a feature, in the order of the config.
    pub features: Vec<Scale>,
    /// The price's, whether or not it is a feature.
    pub price: Scale,
}

/// Gathers [`Scales`] from a set that comes in blocks.
pub struct ScalesFit<'a> {
    features: &'a [Feature],
    fits: Vec<Fit>,
    price: Fit,
}

impl<'a> ScalesFit<'a> {
    /// Begins with no paths.
    pub fn new(features: &'a Features) -> ScalesFit<'a> {
        let fits = vec![Fit::default(); features.features.len()];
        ScalesFit { features: &features.features, fits, price: Fit::default() }
    }

    /// Takes one more block of the set.
    pub fn push(&mut self, paths: &Paths) {
        let columns = self.features.iter().map(|feature| feature.column());
        for (fit, column) in self.fits.iter_mut().zip(columns) {
            push_all(fit, column, paths);
        }
        push_all(&mut self.price, Feature::Price.column(), paths);
    }

    /// The scales of what was taken.
    pub fn scales(&self) -> Scales {
        Scales { features: self.fits.iter().map(Fit::scale).collect(), price: self.price.scale() }
    }
}

fn push_all(fit: &mut Fit, column: &dyn Column, paths: &Paths) {
    for path in 0..paths.count() {
        for point in 0..paths.points() {
            fit.push(column.at(paths, path, point) as f32);
        }
    }
}

/// What the network sees of these paths: scaled features \[T, B, I\], in f32 as the notebook has them.
pub fn network_inputs<R: Real>(features: &Features, paths: &Paths, scales: &Scales, out: &mut Vec<R>) {
    let (batch, inputs) = (paths.count(), features.features.len());
    out.clear();
    out.resize(paths.points() * batch * inputs, R::ZERO);
    for (place, (feature, scale)) in features.features.iter().zip(&scales.features).enumerate() {
        let column = feature.column();
        for path in 0..batch {
            for point in 0..paths.points() {
                let scaled = scale.apply(column.at(paths, path, point) as f32);
                out[(point * batch + path) * inputs + place] = R::from_f64(f64::from(scaled));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Preset, RunConfig, Value};

    #[test]
    fn no_features_are_refused() {
        let empty = Value::List(Vec::new());
        let errors = RunConfig::resolve(Preset::Paper, 0, [("features", &empty)]).unwrap_err();
        assert_eq!(errors[0].key, "features");
    }

    #[test]
    fn blocks_change_no_bit_of_the_scales() {
        let config = RunConfig::preset(Preset::Paper, 0);
        let model = config.market.model();
        let mut normals = crate::random::StreamPerPath { purpose: crate::random::Purpose::Test, seed: 0 };
        let mut whole = Paths::zeros(7, 51);
        whole.simulate(model, &mut normals, 0);
        let mut at_once = ScalesFit::new(&config.features);
        at_once.push(&whole);
        let mut in_blocks = ScalesFit::new(&config.features);
        for (first, count) in [(0, 3), (3, 4)] {
            let mut block = Paths::zeros(count, 51);
            block.simulate(model, &mut normals, first);
            in_blocks.push(&block);
        }
        assert_eq!(at_once.scales(), in_blocks.scales());
    }
}
