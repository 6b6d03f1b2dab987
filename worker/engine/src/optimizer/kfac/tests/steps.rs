//! K-FAC's steps against PyTorch's (`tests/golden/kfac.py`).

use super::*;

/// What the golden script calls proper K-FAC.
pub(super) fn proper() -> Kfac {
    Kfac {
        layers: KfacLayers::All,
        bias: Bias::Homogeneous,
        gradient_scale: GradientScale::PerExample,
        lr: 0.05,
        damping: 0.05,
        ..Kfac::default()
    }
}

fn variance_plus_cost() -> Loss {
    Loss::VariancePlusCost(VariancePlusCost { gamma: 0.7, ..Default::default() })
}

fn mean_variance() -> Loss {
    Loss::MeanVariance(MeanVariance { gamma: 1.3, ..Default::default() })
}

fn entropic() -> Loss {
    Loss::Entropic(Entropic { risk_aversion: 2.0, ..Default::default() })
}

/// One setting of the golden script.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) optimizer: Optimizer,
    pub(super) loss: Loss,
    pub(super) fed_back: bool,
    pub(super) grad_clip: f64,
}

impl Case {
    pub(super) fn new(name: &'static str, settings: Kfac) -> Case {
        Case { name, optimizer: Optimizer::Kfac(settings), loss: variance_plus_cost(), fed_back: false, grad_clip: 1e9 }
    }

    fn fed_back(self) -> Case {
        Case { fed_back: true, ..self }
    }

    fn with(self, loss: Loss) -> Case {
        Case { loss, ..self }
    }
}

pub(super) fn cases() -> Vec<Case> {
    use DampingAdapt::LevenbergMarquardt;
    use DampingSplit::Pi;
    use Fisher::Ggn;
    use RecurrentFactors::PerGate;
    use Sharing::Reduce;
    let everything = Kfac {
        fisher: Ggn,
        recurrent_factors: PerGate,
        damping_split: Pi,
        damping_adapt: LevenbergMarquardt,
        weight_decay: 0.01,
        momentum: 0.9,
        kl_clip: Some(1e-4),
        ema: 0.95,
        factor_interval: 2,
        inverse_interval: 4,
        lr: 0.2,
        ..proper()
    };
    let adam = Adam { lr: 0.03, weight_decay: 0.1, kl_clip: Some(1e-3), ..Adam::default() };
    vec![
        Case::new(
            "head_reduce_separate",
            Kfac { lr: 0.01, damping: 0.02, sharing: Reduce, weight_decay: 0.1, ..Kfac::default() },
        ),
        Case::new(
            "head_ggn_pi",
            Kfac { lr: 0.1, bias: Bias::Homogeneous, fisher: Ggn, damping_split: Pi, momentum: 0.9, ..Kfac::default() },
        ),
        Case::new(
            "head_pi_separate_rest_adam_lm",
            Kfac {
                lr: 0.1,
                damping_split: Pi,
                rest: Rest::Adam,
                rest_lr: 0.01,
                gradient_scale: GradientScale::PerExample,
                damping_adapt: LevenbergMarquardt,
                weight_decay: 0.1,
                ..Kfac::default()
            },
        ),
        Case::new("all_expand", proper()),
        Case::new("all_reduce", Kfac { sharing: Reduce, ..proper() }),
        Case::new(
            "all_separate_batch_mean",
            Kfac {
                bias: Bias::Separate,
                gradient_scale: GradientScale::BatchMean,
                lr: 0.005,
                weight_decay: 0.1,
                ..proper()
            },
        ),
        Case::new(
            "all_per_gate_pi",
            Kfac { recurrent_factors: PerGate, damping_split: Pi, weight_decay: 0.1, ..proper() },
        )
        .fed_back(),
        Case::new(
            "all_reduce_per_gate_pi",
            Kfac { sharing: Reduce, recurrent_factors: PerGate, damping_split: Pi, bias: Bias::Separate, ..proper() },
        ),
        Case::new("all_momentum", Kfac { momentum: 0.9, ..proper() }).fed_back(),
        Case::new("all_kl_clip", Kfac { kl_clip: Some(1e-4), momentum: 0.5, ..proper() }),
        Case::new("all_ema_intervals", Kfac { ema: 0.9, factor_interval: 2, inverse_interval: 3, ..proper() }),
        Case::new("ggn_expand", Kfac { fisher: Ggn, ..proper() }),
        Case::new(
            "ggn_reduce_per_gate_entropic",
            Kfac { fisher: Ggn, sharing: Reduce, recurrent_factors: PerGate, ..proper() },
        )
        .with(entropic())
        .fed_back(),
        Case::new("ggn_mean_variance", Kfac { fisher: Ggn, damping_split: Pi, ..proper() })
            .with(mean_variance())
            .fed_back(),
        Case::new("lm_empirical", Kfac { damping_adapt: LevenbergMarquardt, ..proper() }).fed_back(),
        Case::new("lm_entropic", Kfac { damping_adapt: LevenbergMarquardt, fisher: Ggn, ..proper() }).with(entropic()),
        Case::new(
            "lm_overshoots",
            Kfac { damping_adapt: LevenbergMarquardt, fisher: Ggn, lr: 2.0, momentum: 0.9, ..proper() },
        )
        .fed_back(),
        Case { grad_clip: 0.05, ..Case::new("everything", everything).with(mean_variance()).fed_back() },
        Case { optimizer: Optimizer::Adam(adam), ..Case::new("adam_kl_clip", proper()).fed_back() },
    ]
}

/// The golden batch.
pub(super) fn batch<R: Real>() -> (Vec<R>, Moves<R>) {
    let golden = golden::kfac();
    let real = |name: &str| golden.numbers(name).into_iter().map(R::from_f64).collect::<Vec<R>>();
    let moves = Moves { dims: DIMS, increments: real("moves"), price: real("price"), settlement: real("settlement") };
    (real("inputs"), moves)
}

pub(super) fn costs() -> Costs {
    Costs::Proportional(Proportional { rate: 0.01, base: CostBase::Notional, entry: true, exit: true })
}

pub(super) fn shape(fed_back: bool) -> InputShape {
    InputShape { count: INPUTS, fed_back: fed_back.then_some(1) }
}

/// Reports and weights of `steps` steps.
pub(super) fn train<R: Real>(case: &Case, steps: usize) -> Vec<(StepReport, Vec<f64>)> {
    let (mut inputs, moves) = batch::<R>();
    let (layout, costs) = (layout(), costs());
    let mut trainer = Trainer::<R>::new(TrainerParts {
        policy: network().policy(shape(case.fed_back), DIMS.batch),
        layout: &layout,
        weights: golden::kfac().numbers("weights").into_iter().map(R::from_f64).collect(),
        stepper: case.optimizer.stepper(&layout),
        objective: case.loss.objective(),
        costs: costs.model(),
        grad_clip: case.grad_clip,
    });
    (0..steps)
        .map(|_| {
            let report = trainer.step(&mut inputs, &moves);
            assert_eq!(report.breakdown, None, "{}", case.name);
            (report, trainer.weights().iter().map(|weight| weight.to_f64()).collect())
        })
        .collect()
}

#[test]
fn ten_steps_of_every_setting_are_pytorchs() {
    let golden = golden::kfac();
    let mut worst: f64 = 0.0;
    for case in cases() {
        let steps = train::<f64>(&case, 10);
        let of = |what: &str| golden.numbers(&format!("{}.{what}", case.name));
        for number in [1, 10] {
            let deviation = deviation(&steps[number - 1].1, &of(&format!("weights{number}")));
            println!("{}, step {number}: {deviation:e}", case.name);
            worst = worst.max(deviation);
            assert!(deviation <= 1e-10, "{}, step {number}: {deviation:e}", case.name);
        }
        let notes: Vec<StepNotes> = steps.iter().map(|(report, _)| report.notes).collect();
        let scales: Vec<f64> = notes.iter().map(|notes| notes.clip_scale.unwrap_or(1.0)).collect();
        assert_close(&scales, &of("scales"), 1e-10);
        let Optimizer::Kfac(settings) = &case.optimizer else { continue };
        // A report has the damping with which its step was made; the script notes it after the step.
        let mut dampings = of("dampings");
        dampings.insert(0, settings.damping);
        let reported: Vec<f64> = steps.iter().map(|(report, _)| report.damping.unwrap()).collect();
        assert_close(&reported, &dampings[..10], 1e-12);
        let ratios: Vec<f64> = notes.iter().filter_map(|notes| notes.trust_ratio).collect();
        // The change of the loss keeps what its two values' subtraction leaves.
        assert_close(&ratios, &of("ratios"), 1e-9);
        assert!(notes.iter().all(|notes| notes.factor_condition.unwrap() >= 1.0));
    }
    println!("worst {worst:e}");
}

#[test]
fn single_precision_steps_follow_as_far_as_the_factors_are_conditioned() {
    for case in cases() {
        let (single, double) = (train::<f32>(&case, 1), train::<f64>(&case, 1));
        let condition = double[0].0.notes.factor_condition.unwrap_or(1.0);
        let start = golden::kfac().numbers("weights");
        let step: f64 = start.iter().zip(&double[0].1).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let gap = single[0].1.iter().zip(&double[0].1).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        // The weights themselves are rounded to 6e-8 of at most two.
        assert!(gap <= 1e-6 * condition * step + 2e-7, "{}: {gap:e} of {step:e}, condition {condition:e}", case.name);
    }
}

#[test]
fn the_golden_cases_reach_every_branch_of_the_damping_and_the_clip() {
    let golden = golden::kfac();
    let ratios = golden.numbers("lm_overshoots.ratios");
    assert!(ratios.iter().any(|ratio| *ratio < 0.25), "{ratios:?}");
    assert!(golden.numbers("lm_empirical.ratios").iter().all(|ratio| *ratio > 0.75));
    for name in ["everything", "all_kl_clip", "adam_kl_clip"] {
        assert!(golden.numbers(&format!("{name}.scales"))[0] < 1.0, "{name}");
    }
}
