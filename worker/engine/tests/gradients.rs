//! The gradient of the whole: features, network with its own last position fed back, option, costs and loss.

mod common;

use common::hedging;
use engine::features::{Inputs, ScalesFit};
use engine::market::Paths;
use engine::network::draw_weights;
use engine::pnl::{Accounts, Moves};
use engine::random::{Purpose, StreamPerPath};
use engine::trainer::{Trainer, TrainerParts};
use engine::{RunConfig, Value};

/// The loss and its gradient at these weights, in f64, on the first paths of the training stream.
fn graded(config: &RunConfig, weights: &[f64]) -> (f64, Vec<f64>) {
    let model = config.market.model();
    let mut paths = Paths::zeros(config.training.batch_size as usize, model.steps() + 1);
    paths.simulate(model, &mut StreamPerPath { purpose: Purpose::TrainingPaths, seed: 1 }, 0);
    let mut fit = ScalesFit::new(Inputs::of(config));
    fit.push(&paths);
    let (mut inputs, mut moves) = (Vec::<f64>::new(), Moves::<f64>::default());
    Inputs::of(config).fill(&paths, &fit.scales(), &mut inputs);
    moves.fill(&paths, &Accounts::of(config).unwrap(), &fit.scales());
    let layout = config.network.layout(config.features.features.len());
    let mut trainer = Trainer::new(TrainerParts {
        policy: config.policy::<f64>(),
        layout: &layout,
        weights: weights.to_vec(),
        stepper: config.optimizer.stepper(&layout),
        objective: config.loss.objective(),
        costs: config.costs.model(),
        grad_clip: 1e30,
    });
    let report = trainer.step(&mut inputs, &moves);
    assert_eq!(report.breakdown, None);
    (report.loss, trainer.gradient().to_vec())
}

#[test]
fn it_is_the_difference_quotient_for_every_loss_and_contract() {
    for (loss, kind, side) in [
        ("variance_plus_cost", "european_call", "short"),
        ("mean_variance", "european_put", "long"),
        ("entropic", "straddle", "short"),
        ("cvar", "european_call", "short"),
    ] {
        let config = hedging(
            0,
            &[
                ("loss.kind", loss.into()),
                ("contract.kind", kind.into()),
                ("contract.side", side.into()),
                ("network.hidden", Value::Int(3)),
                ("market.steps", Value::Int(6)),
                ("training.batch_size", Value::Int(7)),
                ("costs.rate", Value::Float(0.01)),
            ],
        );
        let layout = config.network.layout(4);
        let weights: Vec<f64> = draw_weights(&layout, 2).iter().map(|w| 1.5 * w).collect();
        let (_, gradient) = graded(&config, &weights);
        let scale = gradient.iter().fold(0.0_f64, |largest, d| largest.max(d.abs()));
        let h = 1e-5;
        for (place, d_weight) in gradient.iter().enumerate() {
            let at = |shift: f64| {
                let mut moved = weights.clone();
                moved[place] += shift;
                graded(&config, &moved).0
            };
            let quotient = (at(h) - at(-h)) / (2.0 * h);
            // h²·f‴/6 and 1e-15·f/h are both some 1e-10; no Δδ is near 0 and no order of losses near a tie.
            assert!((quotient - d_weight).abs() <= 1e-7 * scale, "{loss} {place}: {d_weight} for {quotient}");
        }
    }
}
