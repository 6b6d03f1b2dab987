//! Scoring positions on held-out paths, block by block.

use super::{HeldOut, Scenarios};
use crate::RunConfig;
use crate::costs::{Book, CostModel, sum_over_time};
use crate::features::{Inputs, Scales};
use crate::loss::Outcomes;
use crate::market::Paths;
use crate::metrics::Metrics;
use crate::pnl::{Accounts, Moves};
use crate::record::PathPoint;
use crate::statistics::{Moments, sort_descending, tail_risk};

/// Paths of a block: as many as keep the network's pass within a few megabytes. Changes no number.
pub(crate) const BLOCK_PATHS: usize = 64;

/// What positions came to on each path of a set, and on all of the first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Score {
    /// P&L gross of costs, in the loss's units.
    pub(crate) pnl: Vec<f64>,
    /// Costs.
    pub(crate) cost: Vec<f64>,
    turnover: Vec<f64>,
    drawdown: Vec<f64>,
    /// All positions, block by block, of a set that is kept.
    positions: Vec<f32>,
    /// The first path.
    pub(crate) path: Vec<PathPoint>,
}

/// How positions are scored.
#[derive(Clone, Copy)]
pub(crate) struct ScoreRules<'a> {
    /// Whose costs, network and loss.
    pub(crate) config: &'a RunConfig,
    /// How P&L is counted.
    pub(crate) accounts: &'a Accounts,
    /// How features are scaled, and prices where the P&L is in standard deviations.
    pub(crate) scales: &'a Scales,
}

impl Score {
    /// Scores a network on a set. P&L and costs are in f64 from the network's f32 positions.
    pub(crate) fn of_network(rules: ScoreRules<'_>, weights: &[f32], set: &HeldOut) -> Score {
        let mut policy = rules.config.policy::<f32>();
        let inputs_of = Inputs::of(rules.config);
        let mut inputs = Vec::new();
        Score::of(rules, set, |scenarios, moves| {
            inputs_of.fill(&scenarios.paths, rules.scales, &mut inputs);
            policy.forward(weights, &mut inputs, moves.dims);
            policy.positions().iter().copied().map(f64::from).collect()
        })
    }

    /// Scores the positions \[D, B\] that `decide` takes on each block of a set.
    pub(crate) fn of(
        rules: ScoreRules<'_>,
        set: &HeldOut,
        mut decide: impl FnMut(&Scenarios, &Moves<f64>) -> Vec<f64>,
    ) -> Score {
        let mut score = Score::default();
        let mut moves = Moves::<f64>::default();
        set.for_each_block(|scenarios| {
            moves.fill(&scenarios.paths, rules.accounts, rules.scales);
            let positions = decide(scenarios, &moves);
            if score.path.is_empty() {
                score.path = first_path(&scenarios.paths, &positions);
            }
            score.take_block(rules, scenarios, &moves, &positions);
            if set.is_kept() {
                score.positions.extend(positions.iter().map(|position| *position as f32));
            }
        });
        score
    }

    fn take_block(&mut self, rules: ScoreRules<'_>, scenarios: &Scenarios, moves: &Moves<f64>, positions: &[f64]) {
        let batch = moves.dims.batch;
        let book = Book { positions, price: &moves.price, batch };
        let costs: &dyn CostModel<f64> = rules.config.costs.model();
        let (mut charges, mut per_path) = (Vec::new(), Vec::new());
        costs.charges(book, &mut charges);
        moves.pnl(positions, &mut per_path);
        self.pnl.append(&mut per_path);
        sum_over_time(&charges, batch, &mut per_path);
        self.cost.append(&mut per_path);
        costs.turnover(book, &mut per_path);
        self.turnover.append(&mut per_path);
        let gains: Vec<f64> =
            scenarios.greeks.iter().map(|greeks| rules.accounts.gain(greeks.price, rules.scales)).collect();
        let marks = Marks { moves, gains: &gains, positions, charges: &charges };
        self.drawdown.extend((0..batch).map(|path| marks.drawdown(path)));
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

    /// P&L net of costs, as the tail measures see it.
    pub(crate) fn cvar(&self, level: f64) -> f64 {
        let mut losses: Vec<f64> = self.outcomes().net().iter().map(|net| -net).collect();
        sort_descending(&mut losses);
        tail_risk(&losses, level)[1]
    }

    /// Mean distance of the positions from others on the same set; `None` for a set that is not kept.
    pub(crate) fn distance(&self, other: &Score) -> Option<f64> {
        let pairs = self.positions.iter().zip(&other.positions);
        let sum: f64 = pairs.map(|(ours, theirs)| f64::from((ours - theirs).abs())).sum();
        (!self.positions.is_empty()).then(|| sum / self.positions.len() as f64)
    }

    /// Bytes that the score keeps.
    pub(crate) fn bytes(&self) -> u64 {
        (4 * self.pnl.len() * size_of::<f64>() + self.positions.len() * size_of::<f32>()) as u64
    }

    /// Writes the set's metrics, under `validation`, `test` or `hedge.<name>`.
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

/// What a block of paths is worth as it goes on.
struct Marks<'a> {
    moves: &'a Moves<f64>,
    /// What premium and contract come to at each point, \[T, B\]; empty without a contract.
    gains: &'a [f64],
    positions: &'a [f64],
    charges: &'a [f64],
}

impl Marks<'_> {
    /// The largest fall of one path's cumulative P&L net of costs, with the contract at its Heston price, from its
    /// running maximum; both begin at 0.
    fn drawdown(&self, path: usize) -> f64 {
        let batch = self.moves.dims.batch;
        let (mut traded, mut peak, mut fall) = (0.0_f64, 0.0_f64, 0.0_f64);
        for here in (path..self.charges.len()).step_by(batch) {
            if here >= batch {
                let last = here - batch;
                traded += self.positions[last] * self.moves.increments[last];
            }
            traded -= self.charges[here];
            let wealth = traded + self.gains.get(here).copied().unwrap_or(0.0);
            peak = peak.max(wealth);
            fall = fall.max(peak - wealth);
        }
        fall
    }
}

/// The first path of a block. A position that is not taken, after expiry, is 0.
fn first_path(paths: &Paths, positions: &[f64]) -> Vec<PathPoint> {
    (0..paths.points())
        .map(|point| PathPoint {
            step: point as u32,
            price: paths.price[[0, point]],
            variance: paths.variance[[0, point]],
            position: positions.get(point * paths.count()).copied().unwrap_or(0.0),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Preset, Value};
    use crate::features::Feature;
    use crate::network::{Dims, draw_weights};
    use crate::random::Purpose;

    fn weights(config: &RunConfig) -> Vec<f32> {
        draw_weights(&config.network.layout(config.features.features.len()), 5).into_iter().map(|w| w as f32).collect()
    }

    fn score(config: &RunConfig, purpose: Purpose, count: usize, block_paths: usize, kept: bool) -> Score {
        let set = HeldOut::in_blocks(config, purpose, count, block_paths, kept).unwrap();
        let accounts = Accounts::of(config).unwrap();
        let scales = set.scales(Inputs::of(config));
        let rules = ScoreRules { config, accounts: &accounts, scales: &scales };
        Score::of_network(rules, &weights(config), &set)
    }

    #[test]
    fn blocks_and_keeping_them_change_no_bit() {
        for preset in [Preset::Paper, Preset::Hedging] {
            let config = RunConfig::preset(preset, 0);
            let whole = Score { positions: Vec::new(), ..score(&config, Purpose::Test, 23, 64, true) };
            for (block_paths, kept) in [(64, false), (1, true), (5, false), (23, true)] {
                let other = score(&config, Purpose::Test, 23, block_paths, kept);
                // Positions lie block by block, where they are kept.
                assert_eq!(other.positions.len(), if kept { 23 * config.contract.decisions(51) } else { 0 });
                assert_eq!(whole, Score { positions: Vec::new(), ..other });
            }
            assert_eq!(whole.path.len(), 51);
        }
    }

    #[test]
    fn the_set_does_not_depend_on_the_seed() {
        let of = |seed| score(&RunConfig::preset(Preset::Paper, seed), Purpose::Validation, 5, 64, true);
        assert_eq!(of(1), of(2));
    }

    #[test]
    fn a_changed_future_moves_no_earlier_position() {
        let every = Value::List(Feature::WORDS.iter().map(|word| Value::from(*word)).collect());
        let config = RunConfig::resolve(Preset::Hedging, 0, [("features", &every)]).unwrap();
        let set = HeldOut::new(&config, Purpose::Test, 5).unwrap();
        let scales = set.scales(Inputs::of(&config));
        let mut policy = config.policy::<f32>();
        let (weights, mut inputs) = (weights(&config), Vec::new());
        let mut positions = |paths: &Paths| {
            Inputs::of(&config).fill(paths, &scales, &mut inputs);
            policy.forward(&weights, &mut inputs, Dims { batch: 5, time: 50 });
            policy.positions().to_vec()
        };
        set.for_each_block(|scenarios| {
            let before = positions(&scenarios.paths);
            for point in [0, 1, 20, 49, 50] {
                let mut changed = scenarios.paths.copy();
                for path in 0..5 {
                    for later in point..51 {
                        changed.price[[path, later]] *= 1.1;
                        changed.variance[[path, later]] *= 0.5;
                    }
                }
                let after = positions(&changed);
                let (same, moved) = (5 * point.min(50), &after[5 * point.min(50)..]);
                assert_eq!(before[..same], after[..same], "what happens from point {point} on is not known before");
                assert!(point == 50 || before[same..] != *moved);
            }
        });
    }

    #[test]
    fn distance_is_the_mean_over_paths_and_decisions() {
        let at = |positions: &[f32]| Score { positions: positions.to_vec(), ..Score::default() };
        assert_eq!(at(&[0.5, 0.25, 0.0, 1.0]).distance(&at(&[0.5, 0.5, 0.25, 0.5])), Some(0.25));
        assert_eq!(at(&[]).distance(&at(&[])), None);
    }

    #[test]
    fn drawdown_starts_at_zero_and_counts_costs() {
        let moves = Moves {
            dims: Dims { batch: 1, time: 4 },
            increments: vec![1.0, -3.0, 1.0],
            price: vec![1.0; 4],
            settlement: vec![0.0],
        };
        let fall = |positions: &[f64], gains: &[f64], charges: &[f64]| {
            Marks { moves: &moves, gains, positions, charges }.drawdown(0)
        };
        // −0.5, 0.5, −2.75, −1.75: from 0.5 to −2.75.
        assert_eq!(fall(&[1.0; 4], &[], &[0.5, 0.0, 0.25, 0.0]), 3.25);
        assert_eq!(fall(&[0.0; 4], &[], &[0.5, 0.0, 0.0, 0.0]), 0.5, "entry costs fall from 0");
        // The contract's gains 0, −1, 2.5, 1 beside the moves' 0, 1, −2, −1: 0, 0, 0.5, 0.
        assert_eq!(fall(&[1.0; 3], &[0.0, -1.0, 2.5, 1.0], &[0.0; 4]), 0.5, "what the hedge loses the contract gains");
    }

    #[test]
    fn costs_in_currency_scale_with_the_price() {
        let of = |s0: f64| {
            let overrides: Vec<(&str, Value)> =
                vec![("market.s0", s0.into()), ("loss.units", "currency".into()), ("costs.base", "notional".into())];
            let config = RunConfig::resolve(Preset::Paper, 0, overrides.iter().map(|(k, v)| (*k, v))).unwrap();
            score(&config, Purpose::Test, 4, 64, true)
        };
        let (unit, hundred) = (of(1.0), of(100.0));
        for (a, b) in unit.pnl.iter().chain(&unit.cost).zip(hundred.pnl.iter().chain(&hundred.cost)) {
            // The z-scored features, in f32, differ in rounding alone.
            assert!((100.0 * a - b).abs() < 1e-4 * (1.0 + b.abs()), "{a} {b}");
        }
    }
}
