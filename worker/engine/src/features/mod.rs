//! Features: what the network sees at each step.

mod log_moneyness;
mod previous_position;
mod price;
mod scale;
mod time_to_maturity;
mod variance;
mod volatility;

pub use scale::Scale;

use scale::Fit;

use crate::RunConfig;
use crate::config::declare::{choices, section, typed_choices};
use crate::config::{Field, KeyError, Range};
use crate::contract::Contract;
use crate::market::Paths;
use crate::network::InputShape;
use crate::real::Real;

typed_choices! {
    /// One input of the network.
    pub enum Feature by column: Column {
        /// The price S_t.
        Price(price::Price) = "price",
        /// The variance V_t as simulated, which the absorption scheme can make negative.
        Variance(variance::Variance) = "variance",
        /// ln(S_t/K), with K the contract's strike.
        LogMoneyness(log_moneyness::LogMoneyness) = "log_moneyness",
        /// The volatility √V_t.
        Volatility(volatility::Volatility) = "volatility",
        /// The time to the contract's maturity, in years.
        TimeToMaturity(time_to_maturity::TimeToMaturity) = "time_to_maturity",
        /// The position held before, which is the network's own last output; 0 at first. It is not scaled.
        PreviousPosition(previous_position::PreviousPosition) = "previous_position",
    }
}

choices! {
    /// How features are brought to a common scale.
    pub enum Normalization {
        /// z-scored over the set of paths at hand, with the (n − 1) standard deviation + 1e-6 (the paper's code): a training batch by its own statistics, a held-out set by those of the whole set.
        Batch = "batch",
        /// z-scored by the training set's mean and standard deviation, whatever is evaluated; with fresh training paths by those of the first 4096.
        Fixed = "fixed",
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

/// What a feature may look at: simulated paths and the contract's terms.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The paths.
    pub paths: &'a Paths,
    /// The contract's strike, if there is a contract.
    pub strike: Option<f64>,
    /// Length of a step, in years.
    pub dt: f64,
}

impl<'a> View<'a> {
    /// A path's prices from a point on.
    fn price(self, path: usize, first: usize) -> &'a [f64] {
        &self.paths.price.row(path).to_slice().expect("rows of a standard layout")[first..]
    }

    /// A path's variances from a point on.
    fn variance(self, path: usize, first: usize) -> &'a [f64] {
        &self.paths.variance.row(path).to_slice().expect("rows of a standard layout")[first..]
    }
}

/// What a feature is, as a function of the paths up to a point.
pub trait Column: Sync {
    /// Whether it says nothing without a contract.
    fn needs_contract(&self) -> bool {
        false
    }

    /// Whether it is the network's own last position, which the network fills in as it decides.
    fn is_fed_back(&self) -> bool {
        false
    }

    /// Writes the feature's values on one path, before they are scaled, at the points from `first` on: as many as `out` has.
    /// It must not look beyond a point for the value there.
    fn values(&self, view: View<'_>, path: usize, first: usize, out: &mut [f32]);
}

impl Features {
    /// Appends what is wrong with keys that do not fit together.
    pub(crate) fn check(&self, contract: &Contract, errors: &mut Vec<KeyError>) {
        if self.features.is_empty() {
            errors.push(KeyError {
                key: "features".into(),
                value: Some(self.features.value()),
                problem: "is empty: the network needs something to see".into(),
                allowed: Some("at least one feature".into()),
                help: None,
            });
        }
        let lacking = self.features.iter().filter(|feature| feature.column().needs_contract());
        let lacking: Vec<&str> = lacking.map(|feature| feature.word()).collect();
        if contract.claim().is_none() && !lacking.is_empty() {
            let free = Feature::WORDS.iter().copied();
            let free = free.filter(|word| Feature::from_word(word).is_some_and(|f| !f.column().needs_contract()));
            errors.push(KeyError {
                key: "features".into(),
                value: Some(self.features.value()),
                problem: format!("has {}, which contract.kind none lacks", lacking.join(" and ")),
                allowed: Some(free.collect::<Vec<_>>().join(", ")),
                help: Some("or set contract.kind to an option".into()),
            });
        }
    }

    /// What a network sees of these features.
    pub fn shape(&self) -> InputShape {
        let fed_back = self.features.iter().position(|feature| feature.column().is_fed_back());
        InputShape { count: self.features.len(), fed_back }
    }
}

/// The inputs of one run's network: its features, and what they need to know of market and contract.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    features: &'a [Feature],
    strike: Option<f64>,
    dt: f64,
    contract: &'a Contract,
}

impl<'a> Inputs<'a> {
    /// Those of a config.
    pub fn of(config: &'a RunConfig) -> Inputs<'a> {
        Inputs {
            features: &config.features.features,
            strike: config.contract.claim().map(|claim| claim.strike),
            dt: config.market.model().dt(),
            contract: &config.contract,
        }
    }

    fn view<'p>(&self, paths: &'p Paths) -> View<'p> {
        View { paths, strike: self.strike, dt: self.dt }
    }

    /// What the network sees of these paths: scaled features \[D, B, I\], in f32 as the notebook has them. What the
    /// network feeds back is left at its value before the first point.
    pub fn fill<R: Real>(&self, paths: &Paths, scales: &Scales, out: &mut Vec<R>) {
        let (batch, inputs) = (paths.count(), self.features.len());
        let decisions = self.contract.decisions(paths.points());
        out.resize(decisions * batch * inputs, R::ZERO);
        let view = self.view(paths);
        for (place, (feature, scale)) in self.features.iter().zip(&scales.features).enumerate() {
            let column = feature.column();
            for path in 0..batch {
                in_pieces(column, view, path, decisions, |first, values| {
                    values.iter_mut().for_each(|x| *x = scale.apply(*x));
                    let places = out[(first * batch + path) * inputs + place..].iter_mut().step_by(batch * inputs);
                    places.zip(values).for_each(|(out, x)| *out = R::from_f64(f64::from(*x)));
                });
            }
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

/// Gathers [`Scales`] from a set that comes in blocks, over the points at which the network sees it.
pub struct ScalesFit<'a> {
    inputs: Inputs<'a>,
    fits: Vec<Fit>,
    price: Fit,
}

impl<'a> ScalesFit<'a> {
    /// Begins with no paths.
    pub fn new(inputs: Inputs<'a>) -> ScalesFit<'a> {
        let fits = vec![Fit::default(); inputs.features.len()];
        ScalesFit { inputs, fits, price: Fit::default() }
    }

    /// Begins anew.
    pub fn begin(&mut self) {
        self.fits.fill(Fit::default());
        self.price = Fit::default();
    }

    /// Takes one more block of the set.
    pub fn push(&mut self, paths: &Paths) {
        let view = self.inputs.view(paths);
        let decisions = self.inputs.contract.decisions(paths.points());
        let columns = self.inputs.features.iter().map(|feature| feature.column());
        for (fit, column) in self.fits.iter_mut().zip(columns).filter(|(_, column)| !column.is_fed_back()) {
            push_all(fit, column, view, decisions);
        }
        push_all(&mut self.price, Feature::Price.column(), view, decisions);
    }

    /// The scales of what was taken.
    pub fn scales(&self) -> Scales {
        let mut scales = Scales { features: Vec::new(), price: Scale::IDENTITY };
        self.write_scales(&mut scales);
        scales
    }

    /// Writes the scales of what was taken.
    pub fn write_scales(&self, scales: &mut Scales) {
        let scale = |(feature, fit): (&Feature, &Fit)| {
            if feature.column().is_fed_back() { Scale::IDENTITY } else { fit.scale() }
        };
        scales.features.clear();
        scales.features.extend(self.inputs.features.iter().zip(&self.fits).map(scale));
        scales.price = self.price.scale();
    }
}

/// Points whose values are made at a time: a few vectors.
const PIECE: usize = 64;

/// Calls `each` with the values of a feature at a path's `count` first points, piece by piece, with the first point of each.
fn in_pieces(column: &dyn Column, view: View<'_>, path: usize, count: usize, mut each: impl FnMut(usize, &mut [f32])) {
    let mut values = [0.0; PIECE];
    for first in (0..count).step_by(PIECE) {
        let values = &mut values[..PIECE.min(count - first)];
        column.values(view, path, first, values);
        each(first, values);
    }
}

fn push_all(fit: &mut Fit, column: &dyn Column, view: View<'_>, decisions: usize) {
    for path in 0..view.paths.count() {
        in_pieces(column, view, path, decisions, |_, values| fit.push_all(values));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Preset, RunConfig, Value};
    use crate::random::{Purpose, StreamPerPath};

    fn simulate(config: &RunConfig, first: u64, count: usize) -> Paths {
        let model = config.market.model();
        let mut paths = Paths::zeros(count, model.steps() + 1);
        paths.simulate(model, &mut StreamPerPath { purpose: Purpose::Test, seed: 0 }, first);
        paths
    }

    #[test]
    fn no_features_are_refused() {
        let empty = Value::List(Vec::new());
        let errors = RunConfig::resolve(Preset::Paper, 0, [("features", &empty)]).unwrap_err();
        assert_eq!(errors[0].key, "features");
    }

    #[test]
    fn features_that_the_contract_lacks_are_refused() {
        let wanted = Value::List(vec!["price".into(), "log_moneyness".into(), "time_to_maturity".into()]);
        let errors = RunConfig::resolve(Preset::Paper, 0, [("features", &wanted)]).unwrap_err();
        let text = errors[0].to_string();
        assert!(text.contains("has log_moneyness and time_to_maturity, which contract.kind none lacks"), "{text}");
        assert!(text.contains("allowed: price, variance, volatility, previous_position"), "{text}");
        let call = ("contract.kind", &Value::from("european_call"));
        assert!(RunConfig::resolve(Preset::Paper, 0, [("features", &wanted), call]).is_ok());
    }

    #[test]
    fn blocks_change_no_bit_of_the_scales() {
        let config = RunConfig::preset(Preset::Paper, 0);
        let mut at_once = ScalesFit::new(Inputs::of(&config));
        at_once.push(&simulate(&config, 0, 7));
        let mut in_blocks = ScalesFit::new(Inputs::of(&config));
        for (first, count) in [(0, 3), (3, 4)] {
            in_blocks.push(&simulate(&config, first, count));
        }
        assert_eq!(at_once.scales(), in_blocks.scales());
    }

    #[test]
    fn a_hedger_sees_moneyness_volatility_time_and_its_own_position() {
        let config = RunConfig::preset(Preset::Hedging, 0);
        let paths = simulate(&config, 0, 3);
        let (inputs, identity) =
            (Inputs::of(&config), Scales { features: vec![Scale::IDENTITY; 4], price: Scale::IDENTITY });
        let mut seen = Vec::<f64>::new();
        inputs.fill(&paths, &identity, &mut seen);
        assert_eq!(seen.len(), 50 * 3 * 4, "the last point, where the option expires, is not decided at");
        let at = |point: usize, path: usize| &seen[(point * 3 + path) * 4..][..4];
        for (point, path) in [(0, 0), (7, 1), (49, 2)] {
            let expected = [
                libm::log(paths.price[[path, point]] / 100.0),
                paths.variance[[path, point]].sqrt(),
                (50 - point) as f64 / 250.0,
                0.0,
            ];
            crate::golden::assert_close(at(point, path), &expected, 1e-6);
        }
    }
}
