//! Steps on the golden batch against PyTorch, in both precisions.

use super::*;
use crate::costs::Costs;
use crate::golden::{self, assert_close, deviation};
use crate::loss::Loss;
use crate::network::{Dims, InputShape, Lstm, Network};
use crate::pnl::Moves;
use crate::trainer::{Breakdown, StepReport, Trainer, TrainerParts};

/// What the golden script sets.
const LR: f64 = 0.03;
const DECAY: f64 = 0.1;
const DAMPING: f64 = 0.02;
const DIMS: Dims = Dims { batch: 6, time: 9 };
const INPUTS: usize = 3;

fn network() -> Network {
    Network::Lstm(Lstm { hidden: 5, ..Lstm::default() })
}

fn adam() -> Optimizer {
    Optimizer::Adam(Adam { lr: LR, weight_decay: DECAY, ..Adam::default() })
}

fn kfac(gradient_scale: GradientScale, rest: Rest) -> Kfac {
    Kfac { lr: LR, weight_decay: DECAY, damping: DAMPING, gradient_scale, rest, rest_lr: LR, ..Kfac::default() }
}

/// Reports, gradients and weights after each of `steps` steps.
fn train<R: Real>(optimizer: &Optimizer, grad_clip: f64, steps: usize) -> Vec<(StepReport, Vec<f64>, Vec<f64>)> {
    let golden = golden::engine();
    let real = |name: &str| golden.numbers(name).into_iter().map(R::from_f64).collect::<Vec<R>>();
    let (network, loss, costs) =
        (network(), Loss::VariancePlusCost(Default::default()), Costs::Proportional(Default::default()));
    let layout = network.layout(INPUTS);
    let mut trainer = Trainer::<R>::new(TrainerParts {
        policy: network.policy(InputShape { count: INPUTS, fed_back: None }, DIMS.batch),
        layout: &layout,
        weights: real("net.weights"),
        stepper: optimizer.stepper(&layout),
        objective: loss.objective(),
        costs: costs.model(),
        grad_clip,
    });
    let (mut inputs, increments) = (real("net.inputs"), real("net.moves"));
    let moves = Moves {
        dims: DIMS,
        increments,
        price: vec![R::ONE; DIMS.batch * DIMS.time],
        settlement: vec![R::ZERO; DIMS.batch],
    };
    let doubles = |values: &[R]| values.iter().map(|x| x.to_f64()).collect::<Vec<f64>>();
    (0..steps)
        .map(|_| {
            let report = trainer.step(&mut inputs, &moves);
            (report, doubles(trainer.gradient()), doubles(trainer.weights()))
        })
        .collect()
}

#[test]
fn loss_and_gradient_are_pytorchs() {
    let golden = golden::engine();
    let layout = network().layout(INPUTS);
    let expected = golden.numbers("net.gradient");
    for (bound, steps) in [(1e-10, train::<f64>(&adam(), 1e9, 1)), (1e-5, train::<f32>(&adam(), 1e9, 1))] {
        let (report, gradient, _) = &steps[0];
        assert_close(&[report.loss], &golden.numbers("net.loss"), bound);
        for spec in layout.tensors() {
            assert_close(&gradient[spec.range.clone()], &expected[spec.range.clone()], bound);
        }
        assert_close(&[report.grad_norm], &golden.numbers("clip.norm"), bound);
    }
}

#[test]
fn clipping_is_pytorchs() {
    let expected = golden::engine().numbers("clip.gradient");
    assert_close(&train::<f64>(&adam(), 0.05, 1)[0].1, &expected, 1e-10);
    assert_close(&train::<f32>(&adam(), 0.05, 1)[0].1, &expected, 1e-5);
}

/// Two steps, which see the state too, tensor by tensor.
fn assert_steps(optimizer: &Optimizer, name: &str, single: f64) {
    let layout = network().layout(INPUTS);
    for (bound, steps) in [(1e-10, train::<f64>(optimizer, 1e9, 2)), (single, train::<f32>(optimizer, 1e9, 2))] {
        for (number, (_, _, weights)) in (1..).zip(&steps) {
            let expected = golden::engine().numbers(&format!("step.{name}.weights{number}"));
            for spec in layout.tensors() {
                let deviation = deviation(&weights[spec.range.clone()], &expected[spec.range.clone()]);
                assert!(deviation <= bound, "{name}, step {number}, {}: {deviation:e} > {bound:e}", spec.name);
            }
        }
    }
}

#[test]
fn adam_steps_are_pytorchs() {
    assert_steps(&adam(), "adam", 1e-5);
}

#[test]
fn sgd_steps_are_pytorchs() {
    let sgd = Sgd { lr: LR, momentum: 0.8, weight_decay: DECAY, ..Sgd::default() };
    assert_steps(&Optimizer::Sgd(sgd), "sgd", 1e-5);
}

#[test]
fn kfac_steps_are_those_of_the_direct_inverse() {
    for (name, gradient_scale, rest) in [
        ("kfac", GradientScale::BatchMean, Rest::Frozen),
        ("kfac_per_example", GradientScale::PerExample, Rest::Frozen),
        ("kfac_rest_adam", GradientScale::BatchMean, Rest::Adam),
    ] {
        let conditions = [1, 2].map(|step| golden::engine().numbers(&format!("step.{name}.condition{step}"))[0]);
        let worst = conditions[0].max(conditions[1]);
        assert_steps(&Optimizer::Kfac(kfac(gradient_scale, rest)), name, 1e-6 * worst);
    }
}

#[test]
fn the_notebooks_setting_keeps_its_message() {
    // Without damping to speak of, more hidden units than path-steps leave A singular, and nothing may rise.
    let tiny = Kfac { damping: 1e-300, ..Kfac::default() };
    let layout = network().layout(INPUTS);
    let mut stepper = Optimizer::Kfac(tiny).stepper::<f64>(&layout);
    let before = vec![0.1; layout.len()];
    let mut weights = before.clone();
    let singular = SingularFactor { factor: "A" };
    let mut batch = kfac::tests::StubBatch::new(&layout, Dims { batch: 2, time: 1 });
    assert_eq!(stepper.step(&mut weights, &mut batch), Err(singular));
    batch.states.fill(f64::INFINITY);
    assert_eq!(stepper.step(&mut weights, &mut batch), Err(singular));
    assert_eq!(weights, before);
    assert_eq!(Breakdown::Factor(singular).to_string(), "K-FAC's factor A cannot be inverted");
}

#[test]
fn only_what_is_trained_moves() {
    let layout = network().layout(INPUTS);
    let before: Vec<f64> = golden::engine().numbers("net.weights");
    for optimizer in [
        Optimizer::Adam(Adam { layers: Layers::Head, ..Adam::default() }),
        Optimizer::Sgd(Sgd { layers: Layers::Head, ..Sgd::default() }),
        Optimizer::Kfac(Kfac::default()),
    ] {
        let steps = train::<f64>(&optimizer, 1e9, 2);
        let (report, gradient, after) = &steps[1];
        assert_eq!(after[layout.body()], before[layout.body()]);
        assert!(after[layout.head()].iter().zip(&before[layout.head()]).all(|(a, b)| a != b));
        let of_head = gradient[layout.head()].iter().map(|g| g * g).sum::<f64>().sqrt();
        assert!((report.grad_norm - of_head).abs() < 1e-15);
    }
}
