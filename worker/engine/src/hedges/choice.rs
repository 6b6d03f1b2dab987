//! Scores of the classical hedges, each with the risk aversion that the validation set chose.

use super::{Hedge, State, Strategy};
use crate::RunConfig;
use crate::contract::Claim;
use crate::costs::CostModel;
use crate::evaluation::{HeldOut, Scenarios, Score, ScoreRules};
use crate::metrics::Metrics;
use crate::network::Dims;
use crate::pricing::{BlackScholes, Greeks};

/// One hedge's score on the test set.
pub(crate) struct HedgeScore {
    hedge: Hedge,
    /// `None` for a hedge that has none.
    risk_aversion: Option<f64>,
    score: Score,
}

/// The scores of all hedges that a config asks for.
pub(crate) struct HedgeScores(Vec<HedgeScore>);

impl HedgeScores {
    /// Chooses on the validation set, and scores on the test set. A config whose hedges have something to choose has a
    /// validation set.
    pub(crate) fn of(rules: ScoreRules<'_>, validation: Option<&HeldOut>, test: &HeldOut) -> HedgeScores {
        let scores = rules.config.evaluation.hedges.iter().map(|hedge| {
            let strategy = hedge.strategy();
            let risk_aversion = chosen(rules, strategy, validation);
            HedgeScore { hedge: *hedge, risk_aversion, score: score(rules, strategy, risk_aversion, test) }
        });
        HedgeScores(scores.collect())
    }

    /// Bytes that the scores keep.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.iter().map(|hedge| hedge.score.bytes()).sum()
    }

    /// Writes `hedge.<name>.*`, beside a network's score on the same test set.
    pub(crate) fn write_metrics(&self, config: &RunConfig, network: &Score, metrics: &mut Metrics) {
        for HedgeScore { hedge, risk_aversion, score } in &self.0 {
            score.write_metrics(config, &format!("hedge.{}", hedge.word()), metrics);
            if let Some(distance) = network.distance(score) {
                metrics.set(&format!("hedge.{}.distance", hedge.word()), distance);
            }
            if let Some(risk_aversion) = risk_aversion {
                metrics.set(&format!("hedge.{}.risk_aversion", hedge.word()), *risk_aversion);
            }
        }
    }
}

/// The risk aversion with the lowest CVaR at 95% of the net P&L on the validation set, the first of equals.
fn chosen(rules: ScoreRules<'_>, strategy: &dyn Strategy, validation: Option<&HeldOut>) -> Option<f64> {
    let validation = validation?;
    let candidates = strategy.risk_aversions().iter();
    let risks = candidates.map(|a| (*a, score(rules, strategy, Some(*a), validation).cvar(0.95)));
    risks.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(risk_aversion, _)| risk_aversion)
}

fn score(rules: ScoreRules<'_>, strategy: &dyn Strategy, risk_aversion: Option<f64>, set: &HeldOut) -> Score {
    let market = Surroundings::of(rules.config);
    let risk_aversion = risk_aversion.unwrap_or(1.0);
    Score::of(rules, set, |scenarios, moves| market.positions(strategy, risk_aversion, scenarios, moves.dims))
}

/// What a hedge knows of the market, beside the paths.
struct Surroundings<'a> {
    claim: Option<Claim>,
    costs: &'a dyn CostModel<f64>,
    theta: f64,
    leverage: f64,
    dt: f64,
}

impl<'a> Surroundings<'a> {
    fn of(config: &'a RunConfig) -> Surroundings<'a> {
        let pricer = config.market.first_pricer();
        Surroundings {
            claim: config.contract.claim(),
            costs: config.costs.model(),
            theta: pricer.theta,
            leverage: pricer.rho * pricer.xi,
            dt: config.market.model().dt(),
        }
    }

    /// The positions \[D, B\] of a hedge on these paths.
    fn positions(&self, strategy: &dyn Strategy, risk_aversion: f64, scenarios: &Scenarios, dims: Dims) -> Vec<f64> {
        let mut positions = vec![0.0; dims.time * dims.batch];
        for here in 0..positions.len() {
            let last = if here >= dims.batch { positions[here - dims.batch] } else { 0.0 };
            let state = self.state(scenarios, here / dims.batch, here % dims.batch);
            positions[here] = strategy.position(&state, last, risk_aversion);
        }
        positions
    }

    fn state(&self, scenarios: &Scenarios, point: usize, path: usize) -> State {
        const NOTHING: Greeks = Greeks { price: 0.0, delta: 0.0, gamma: 0.0, vega: 0.0 };
        let paths = &scenarios.paths;
        let spot = paths.price[[path, point]];
        let (mut black_scholes, mut heston) = (NOTHING, NOTHING);
        if let Some(claim) = &self.claim {
            let maturity = (paths.points() - 1 - point) as f64 * self.dt;
            let model = BlackScholes { spot, variance: self.theta, rate: 0.0, dividend: 0.0 };
            let call = |strike| Ok::<_, std::convert::Infallible>(model.call(strike, maturity));
            let Ok(holders) = claim.value(spot, call);
            black_scholes = claim.owed(holders);
            heston = claim.owed(scenarios.greeks[point * paths.count() + path]);
        }
        State { spot, unit_cost: self.costs.unit_cost(spot), black_scholes, heston, leverage: self.leverage }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;
    use crate::evaluation::Valuation;
    use crate::random::Purpose;

    #[test]
    fn a_changed_future_moves_no_earlier_position() {
        let config = RunConfig::preset(Preset::Hedging, 0);
        let set = HeldOut::new(&config, Purpose::Test, 3).unwrap();
        let market = Surroundings::of(&config);
        let valuation = Valuation::of(&config).unwrap().expect("an option");
        set.for_each_block(|scenarios| {
            let dims = Dims { batch: 3, time: 50 };
            for hedge in &config.evaluation.hedges {
                let before = market.positions(hedge.strategy(), 1.0, scenarios, dims);
                let mut changed = Scenarios { paths: scenarios.paths.copy(), greeks: scenarios.greeks.clone() };
                let (point, from) = (20, 20 * 3);
                for path in 0..3 {
                    for later in point..51 {
                        changed.paths.price[[path, later]] *= 1.1;
                    }
                }
                changed.greeks = valuation.on(&changed.paths);
                let after = market.positions(hedge.strategy(), 1.0, &changed, dims);
                assert_eq!(before[..from], after[..from], "{}", hedge.word());
                if *hedge != Hedge::None {
                    assert_ne!(before[from..], after[from..], "{}", hedge.word());
                }
            }
        });
    }
}
