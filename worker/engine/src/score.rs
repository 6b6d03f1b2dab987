//! Scoring a network on held-out paths, block by block.

use crate::RunConfig;
use crate::costs::{Book, CostModel, sum_over_time};
use crate::features::{Scales, ScalesFit, network_inputs};
use crate::loss::Outcomes;
use crate::market::Paths;
use crate::metrics::Metrics;
use crate::network::Dims;
use crate::pnl::Moves;
use crate::random::{Purpose, StreamPerPath};
use crate::record::PathPoint;
use crate::statistics::{Moments, sort_descending, tail_risk};

/// Paths of a block: as many as keep the network's pass within a few megabytes. Changes no number.
pub(crate) const BLOCK_PATHS: usize = 64;

/// What the network did on each path of a set, and on all of the first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Score {
    /// P&L gross of costs, in the loss's units.
    pub(crate) pnl: Vec<f64>,
    /// Costs.
    pub(crate) cost: Vec<f64>,
    turnover: Vec<f64>,
    drawdown: Vec<f64>,
    /// The first path.
    pub(crate) path: Vec<PathPoint>,
}

/// A set that is scored in blocks: the same paths for every run in a market.
struct HeldOut<'a> {
    config: &'a RunConfig,
    purpose: Purpose,
    count: usize,
}

impl HeldOut<'_> {
    /// Calls `each` with every block of the set, in order.
    fn for_each_block(&self, block_paths: usize, mut each: impl FnMut(&Paths)) {
        let model = self.config.market.model();
        let mut normals = StreamPerPath { purpose: self.purpose, seed: 0 };
        let mut paths = Paths::zeros(block_paths.min(self.count), model.steps() + 1);
        for first in (0..self.count).step_by(block_paths) {
            let here = block_paths.min(self.count - first);
            if here < paths.count() {
                paths = Paths::zeros(here, model.steps() + 1);
            }
            paths.simulate(model, &mut normals, first as u64);
            each(&paths);
        }
    }

    /// The whole set's statistics, for which it is simulated once more than for scoring.
    fn scales(&self, block_paths: usize) -> Scales {
        let mut fit = ScalesFit::new(&self.config.features);
        self.for_each_block(block_paths, |paths| fit.push(paths));
        fit.scales()
    }
}

impl Score {
    /// Scores `weights` on the first `count` paths of a set. P&L and costs are in f64 from the network's f32 positions.
    pub(crate) fn of(config: &RunConfig, weights: &[f32], purpose: Purpose, count: usize, block_paths: usize) -> Score {
        let set = HeldOut { config, purpose, count };
        let scales = set.scales(block_paths);
        let mut policy = config.network.policy::<f32>(config.features.features.len());
        let mut score = Score::default();
        let mut inputs = Vec::new();
        let mut moves = Moves::<f64>::default();
        set.for_each_block(block_paths, |paths| {
            network_inputs(&config.features, paths, &scales, &mut inputs);
            moves.fill(paths, config.loss.objective().units(), &scales);
            policy.forward(weights, &inputs, moves.dims);
            let positions: Vec<f64> = policy.positions().iter().copied().map(f64::from).collect();
            if score.path.is_empty() {
                score.path = first_path(paths, &positions);
            }
            score.take_block(config.costs.model(), &moves, &positions);
        });
        score
    }

    fn take_block(&mut self, costs: &dyn CostModel<f64>, moves: &Moves<f64>, positions: &[f64]) {
        let batch = moves.dims.batch;
        let book = Book { positions, price: &moves.price, batch };
        let (mut charges, mut per_path) = (Vec::new(), Vec::new());
        costs.charges(book, &mut charges);
        moves.pnl(positions, &mut per_path);
        self.pnl.append(&mut per_path);
        sum_over_time(&charges, batch, &mut per_path);
        self.cost.append(&mut per_path);
        costs.turnover(book, &mut per_path);
        self.turnover.append(&mut per_path);
        self.drawdown.extend((0..batch).map(|path| drawdown(moves, positions, &charges, path)));
    }

    /// Whether every path's outcome is a finite number.
    pub(crate) fn is_finite(&self) -> bool {
        self.pnl.iter().chain(&self.cost).all(|x| x.is_finite())
    }

    /// The set's loss.
    pub(crate) fn loss(&self, config: &RunConfig) -> f64 {
        config.loss.objective().grade(self.outcomes()).value
    }

    fn outcomes(&self) -> Outcomes<'_> {
        Outcomes { pnl: &self.pnl, cost: &self.cost }
    }

    /// Writes the set's metrics, under `validation.` or `test.`.
    pub(crate) fn write_metrics(&self, config: &RunConfig, set: &str, metrics: &mut Metrics) {
        let outcomes = self.outcomes();
        let influence = Moments::of(&config.loss.objective().influence(outcomes));
        let pnl = Moments::of(&self.pnl);
        let net_pnl = outcomes.net();
        let net = Moments::of(&net_pnl);
        let mut losses: Vec<f64> = net_pnl.iter().map(|net| -net).collect();
        sort_descending(&mut losses);
        let [var95, cvar95] = tail_risk(&losses, 0.95);
        let [var99, cvar99] = tail_risk(&losses, 0.99);
        for (name, value) in [
            ("loss", self.loss(config)),
            ("loss_se", (influence.variance() / self.pnl.len() as f64).sqrt()),
            ("pnl_mean", pnl.mean()),
            ("pnl_sd", pnl.variance().sqrt()),
            ("pnl_variance", pnl.variance()),
            ("mean_cost", Moments::of(&self.cost).mean()),
            ("turnover", Moments::of(&self.turnover).mean()),
            ("sharpe", net.mean() / net.variance().sqrt()),
            ("var95", var95),
            ("cvar95", cvar95),
            ("var99", var99),
            ("cvar99", cvar99),
            ("max_drawdown", Moments::of(&self.drawdown).mean()),
        ] {
            metrics.set(&format!("{set}.{name}"), value);
        }
    }
}

/// The largest fall of one path's cumulative P&L net of costs from its running maximum; both begin at 0.
fn drawdown(moves: &Moves<f64>, positions: &[f64], charges: &[f64], path: usize) -> f64 {
    let Dims { batch, time } = moves.dims;
    let (mut wealth, mut peak, mut fall) = (0.0_f64, 0.0_f64, 0.0_f64);
    for t in 0..time {
        if t > 0 {
            let last = (t - 1) * batch + path;
            wealth += positions[last] * moves.increments[last];
        }
        wealth -= charges[t * batch + path];
        peak = peak.max(wealth);
        fall = fall.max(peak - wealth);
    }
    fall
}

fn first_path(paths: &Paths, positions: &[f64]) -> Vec<PathPoint> {
    (0..paths.points())
        .map(|point| PathPoint {
            step: point as u32,
            price: paths.price[[0, point]],
            variance: paths.variance[[0, point]],
            position: positions[point * paths.count()],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Preset, Value};
    use crate::network::draw_weights;

    fn weights(config: &RunConfig) -> Vec<f32> {
        draw_weights(&config.network.layout(2), 5).into_iter().map(|w| w as f32).collect()
    }

    #[test]
    fn blocks_change_no_bit_and_more_paths_extend_a_set() {
        let config = RunConfig::preset(Preset::Paper, 0);
        let weights = weights(&config);
        let whole = Score::of(&config, &weights, Purpose::Test, 23, 64);
        for block_paths in [1, 5, 23] {
            assert_eq!(whole, Score::of(&config, &weights, Purpose::Test, 23, block_paths));
        }
        assert_eq!(whole.path.len(), 51);
    }

    #[test]
    fn the_set_does_not_depend_on_the_seed() {
        let score = |seed| {
            let config = RunConfig::preset(Preset::Paper, seed);
            Score::of(&config, &weights(&config), Purpose::Validation, 5, 64)
        };
        assert_eq!(score(1), score(2));
    }

    #[test]
    fn drawdown_starts_at_zero_and_counts_costs() {
        let moves = Moves { dims: Dims { batch: 1, time: 4 }, increments: vec![1.0, -3.0, 1.0], price: vec![1.0; 4] };
        let fall = drawdown(&moves, &[1.0, 1.0, 1.0, 1.0], &[0.5, 0.0, 0.25, 0.0], 0);
        // −0.5, 0.5, −2.75, −1.75: from 0.5 to −2.75.
        assert_eq!(fall, 3.25);
        assert_eq!(drawdown(&moves, &[0.0; 4], &[0.5, 0.0, 0.0, 0.0], 0), 0.5, "entry costs fall from 0");
    }

    #[test]
    fn costs_in_currency_scale_with_the_price() {
        let of = |s0: f64| {
            let overrides: Vec<(&str, Value)> =
                vec![("market.s0", s0.into()), ("loss.units", "currency".into()), ("costs.base", "notional".into())];
            let config = RunConfig::resolve(Preset::Paper, 0, overrides.iter().map(|(k, v)| (*k, v))).unwrap();
            Score::of(&config, &weights(&config), Purpose::Test, 4, 64)
        };
        let (unit, hundred) = (of(1.0), of(100.0));
        for (a, b) in unit.pnl.iter().chain(&unit.cost).zip(hundred.pnl.iter().chain(&hundred.cost)) {
            // The z-scored features, in f32, differ in rounding alone.
            assert!((100.0 * a - b).abs() < 1e-4 * (1.0 + b.abs()), "{a} {b}");
        }
    }
}
