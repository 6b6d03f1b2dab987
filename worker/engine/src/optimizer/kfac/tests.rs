//! K-FAC against its oracles: PyTorch's steps, slow direct sums, difference quotients, and the cases where the
//! approximation is exact; and what it does with factors that have no inverse.

use std::cell::RefCell;
use std::rc::Rc;

use super::factors::Cotangents;
use super::moments::Precision;
use super::*;
use crate::costs::{CostBase, Costs, Proportional};
use crate::golden::{self, assert_close, deviation};
use crate::loss::{Curvature, Entropic, MeanVariance, Outcome, VariancePlusCost};
use crate::network::{Dims, InputShape, Lstm, Network};
use crate::optimizer::{Linearization, Optimizer, Seen, Signals};
use crate::pnl::Moves;
use crate::random::{Purpose, Stream};
use crate::trainer::{StepReport, Trainer, TrainerParts};
use proptest::prelude::*;

const INPUTS: usize = 3;
const HIDDEN: usize = 4;
const DIMS: Dims = Dims { batch: 6, time: 7 };

fn network() -> Network {
    Network::Lstm(Lstm { hidden: HIDDEN as u64, ..Lstm::default() })
}

fn layout() -> Layout {
    network().layout(INPUTS)
}

/// A batch of given numbers, for which no pass was made.
pub(in crate::optimizer) struct StubBatch {
    pub(in crate::optimizer) dims: Dims,
    pub(in crate::optimizer) gradient: Vec<f64>,
    pub(in crate::optimizer) inputs: Vec<f64>,
    pub(in crate::optimizer) states: Vec<f64>,
    pub(in crate::optimizer) gates: Vec<f64>,
    pub(in crate::optimizer) head: Vec<f64>,
    pub(in crate::optimizer) curvature: Curvature,
    /// Losses of the looks at other weights, the next one last.
    pub(in crate::optimizer) losses: Vec<f64>,
}

impl StubBatch {
    /// Every number is 0.1 or 0.5.
    pub(in crate::optimizer) fn new(layout: &Layout, dims: Dims) -> StubBatch {
        let rows = dims.batch * dims.time;
        let hidden = layout.head_inputs();
        StubBatch {
            dims,
            gradient: vec![0.1; layout.len()],
            inputs: vec![0.5; rows * INPUTS],
            states: vec![0.5; rows * hidden],
            gates: vec![0.1; rows * 4 * hidden],
            head: vec![0.1; rows],
            curvature: Curvature { of: Outcome::Gross, weights: vec![0.5; dims.batch] },
            losses: Vec::new(),
        }
    }

    /// Every number a draw of its own.
    fn random(layout: &Layout, dims: Dims) -> StubBatch {
        let mut batch = StubBatch::new(layout, dims);
        let mut stream = Stream::new(Purpose::Test, 79, 0);
        let StubBatch { gradient, inputs, states, gates, head, curvature, .. } = &mut batch;
        for numbers in [gradient, inputs, states, gates, head] {
            numbers.iter_mut().for_each(|number| *number = stream.normal());
        }
        curvature.weights.iter_mut().for_each(|weight| *weight = 0.1 + stream.uniform());
        batch
    }
}

impl Batch<f64> for StubBatch {
    fn loss(&self) -> f64 {
        1.0
    }

    fn gradient(&self) -> &[f64] {
        &self.gradient
    }

    fn clip(&self) -> f64 {
        1.0
    }

    fn seen(&self) -> Seen<'_, f64> {
        Seen { dims: self.dims, inputs: &self.inputs, states: &self.states }
    }

    fn signals(&self) -> Signals<'_, f64> {
        Signals { gates: &self.gates, head: &self.head }
    }

    fn linearize(&mut self, _weights: &[f64]) -> Option<Linearization<'_, f64>> {
        Some(Linearization { seen: self.seen(), tangents: self.signals(), curvature: &self.curvature })
    }

    fn loss_at(&mut self, _weights: &[f64]) -> f64 {
        self.losses.pop().unwrap_or(1.0)
    }
}

// ---- Steps against PyTorch.

/// What the golden script calls proper K-FAC.
fn proper() -> Kfac {
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
struct Case {
    name: &'static str,
    optimizer: Optimizer,
    loss: Loss,
    fed_back: bool,
    grad_clip: f64,
}

impl Case {
    fn new(name: &'static str, settings: Kfac) -> Case {
        Case { name, optimizer: Optimizer::Kfac(settings), loss: variance_plus_cost(), fed_back: false, grad_clip: 1e9 }
    }

    fn fed_back(self) -> Case {
        Case { fed_back: true, ..self }
    }

    fn with(self, loss: Loss) -> Case {
        Case { loss, ..self }
    }
}

fn cases() -> Vec<Case> {
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
fn batch<R: Real>() -> (Vec<R>, Moves<R>) {
    let golden = golden::kfac();
    let real = |name: &str| golden.numbers(name).into_iter().map(R::from_f64).collect::<Vec<R>>();
    let moves = Moves { dims: DIMS, increments: real("moves"), price: real("price"), settlement: real("settlement") };
    (real("inputs"), moves)
}

fn costs() -> Costs {
    Costs::Proportional(Proportional { rate: 0.01, base: CostBase::Notional, entry: true, exit: true })
}

fn shape(fed_back: bool) -> InputShape {
    InputShape { count: INPUTS, fed_back: fed_back.then_some(1) }
}

/// Reports and weights of `steps` steps.
fn train<R: Real>(case: &Case, steps: usize) -> Vec<(StepReport, Vec<f64>)> {
    let (mut inputs, moves) = batch::<R>();
    let (layout, costs) = (layout(), costs());
    let mut trainer = Trainer::<R>::new(TrainerParts {
        policy: network().policy(shape(case.fed_back)),
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

// ---- Factors against slow direct sums.

/// ā of one layer on one path at one point, written down once more.
fn read(batch: &StubBatch, block: usize, homogeneous: bool, path: usize, time: usize) -> Vec<f64> {
    let state = |time: usize| batch.states[(time * batch.dims.batch + path) * HIDDEN..][..HIDDEN].to_vec();
    let mut read = if block == 0 {
        let mut read = batch.inputs[(time * batch.dims.batch + path) * INPUTS..][..INPUTS].to_vec();
        read.extend(if time == 0 { vec![0.0; HIDDEN] } else { state(time - 1) });
        read
    } else {
        state(time)
    };
    read.extend(homogeneous.then_some(1.0));
    read
}

fn said(batch: &StubBatch, block: usize, path: usize, time: usize) -> Vec<f64> {
    let row = time * batch.dims.batch + path;
    if block == 0 { batch.gates[row * 4 * HIDDEN..][..4 * HIDDEN].to_vec() } else { vec![batch.head[row]] }
}

fn sum_over_time(dims: Dims, of: impl Fn(usize) -> Vec<f64>) -> Vec<f64> {
    (0..dims.time).map(of).reduce(|sum, x| sum.iter().zip(x).map(|(a, b)| a + b).collect()).unwrap()
}

/// Σ w·v vᵀ.
fn outer(vectors: &[(f64, Vec<f64>)]) -> DMatrix<f64> {
    let dim = vectors[0].1.len();
    DMatrix::from_fn(dim, dim, |row, col| vectors.iter().map(|(w, v)| w * v[row] * v[col]).sum())
}

#[track_caller]
fn assert_matrices_close(ours: &DMatrix<f64>, expected: &DMatrix<f64>, bound: f64) {
    assert_eq!(ours.shape(), expected.shape());
    assert_close(ours.as_slice(), expected.as_slice(), bound);
}

#[test]
fn factors_are_their_defining_sums() {
    let batch = StubBatch::random(&layout(), DIMS);
    let Dims { batch: paths, time } = DIMS;
    let cells = || (0..paths).flat_map(|path| (0..time).map(move |t| (path, t)));
    for sharing in [Sharing::Expand, Sharing::Reduce] {
        for precision in [Precision::Double, Precision::Chunked] {
            for bias in [Bias::Separate, Bias::Homogeneous] {
                for recurrent_factors in [RecurrentFactors::Joint, RecurrentFactors::PerGate] {
                    let blocks = Block::all(&layout(), KfacLayers::All, bias, recurrent_factors);
                    let statistics = Statistics { sharing, precision };
                    for (place, block) in blocks.iter().enumerate() {
                        let homogeneous = bias == Bias::Homogeneous;
                        let inputs: Vec<(f64, Vec<f64>)> = match sharing {
                            Sharing::Expand => cells()
                                .map(|(path, t)| {
                                    (1.0 / (paths * time) as f64, read(&batch, place, homogeneous, path, t))
                                })
                                .collect(),
                            Sharing::Reduce => (0..paths)
                                .map(|path| {
                                    let sum = sum_over_time(DIMS, |t| read(&batch, place, homogeneous, path, t));
                                    (1.0 / paths as f64, sum.iter().map(|x| x / time as f64).collect())
                                })
                                .collect(),
                        };
                        assert_matrices_close(&statistics.inputs(block, batch.seen()), &outer(&inputs), 1e-14);
                        let weights = &batch.curvature.weights;
                        for (cotangents, weight) in [
                            (Cotangents::Loss(batch.signals(), GradientScale::PerExample), None),
                            (Cotangents::Outcomes(batch.signals(), weights), Some(weights)),
                        ] {
                            let of_path = |path: usize| weight.map_or(paths as f64, |weights: &Vec<f64>| weights[path]);
                            let rows: Vec<(f64, Vec<f64>)> = match sharing {
                                Sharing::Expand => {
                                    cells().map(|(path, t)| (of_path(path), said(&batch, place, path, t))).collect()
                                }
                                Sharing::Reduce => (0..paths)
                                    .map(|path| (of_path(path), sum_over_time(DIMS, |t| said(&batch, place, path, t))))
                                    .collect(),
                            };
                            let whole = outer(&rows);
                            let ours = statistics.outputs(block, [paths, time], cotangents);
                            let width = whole.nrows() / ours.len();
                            for (group, ours) in ours.iter().enumerate() {
                                let expected = whole.view((group * width, group * width), (width, width)).into_owned();
                                assert_matrices_close(ours, &expected, 1e-14);
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_notebooks_scale_is_n2d_too_small() {
    let batch = StubBatch::random(&layout(), DIMS);
    let head = &Block::all(&layout(), KfacLayers::Head, Bias::Separate, RecurrentFactors::Joint)[0];
    let statistics = Kfac::default().statistics();
    let of = |scale| statistics.outputs(head, [DIMS.batch, DIMS.time], Cotangents::Loss(batch.signals(), scale));
    let ratio = of(GradientScale::PerExample)[0][(0, 0)] / of(GradientScale::BatchMean)[0][(0, 0)];
    let (n, d) = (DIMS.batch as f64, DIMS.time as f64);
    assert!((ratio / (n * n * d) - 1.0).abs() < 1e-14);
}

#[test]
fn running_means_are_corrected_for_their_start() {
    let factors =
        |x: f64| Factors { inputs: DMatrix::from_element(1, 1, x), outputs: vec![DMatrix::from_element(1, 1, -x)] };
    let value = |running: &RunningFactors| running.mean().unwrap().inputs[(0, 0)];
    let mut running = RunningFactors::default();
    assert_eq!(running.mean(), None);
    running.take(factors(3.0), 0.9);
    assert!((value(&running) - 3.0).abs() < 1e-14, "the mean of one is that one");
    running.take(factors(5.0), 0.9);
    // (0.9·0.1·3 + 0.1·5)/(1 − 0.81)
    assert!((value(&running) - 0.77 / 0.19).abs() < 1e-14);
    assert_eq!(running.mean().unwrap().outputs[0][(0, 0)], -value(&running));
    let mut forgetful = RunningFactors::default();
    forgetful.take(factors(f64::NAN), 0.0);
    forgetful.take(factors(0.3), 0.0);
    assert_eq!(forgetful.mean(), Some(factors(0.3)), "to the bit, whatever came before");
}

// ---- Preconditioning against a hand-built Kronecker product.

#[test]
fn preconditioning_is_a_dense_solve_with_the_kronecker_product() {
    let batch = StubBatch::random(&layout(), DIMS);
    let weights = golden::kfac().numbers("weights");
    for split in [DampingSplit::Each, DampingSplit::Pi] {
        for block in Block::all(&layout(), KfacLayers::All, Bias::Homogeneous, RecurrentFactors::Joint) {
            let statistics = Statistics { sharing: Sharing::Expand, precision: Precision::Chunked };
            let cotangents = Cotangents::Loss(batch.signals(), GradientScale::PerExample);
            let factors = Factors {
                inputs: statistics.inputs(&block, batch.seen()),
                outputs: statistics.outputs(&block, [DIMS.batch, DIMS.time], cotangents),
            };
            let inverse = Inverse::of(&block, &factors, split, 0.3).unwrap();
            let gradient = block.gradient(&batch.gradient, &weights, 0.1);
            let step = inverse.precondition(&gradient, 0.7, Bias::Homogeneous);
            let damped = split::damped(split, 0.3, &factors.inputs, &factors.outputs[0]);
            // A column an output, stacked: its Kronecker product has G outside.
            let dense = damped.outputs.kronecker(&damped.inputs);
            let expected =
                dense.lu().solve(&DMatrix::from_column_slice(gradient.len(), 1, gradient.as_slice())).unwrap();
            let expected: Vec<f64> = expected.iter().map(|x| 0.7 * x).collect();
            assert_close(step.as_slice(), &expected, 1e-12);
        }
    }
}

proptest! {
    #[test]
    fn a_step_goes_down_the_gradient_and_no_further_than_the_clip(
        numbers in prop::collection::vec(-3.0..3.0_f64, 64),
        damping in -8..2_i32,
        (pi, ggn, per_gate, separate, reduce) in any::<(bool, bool, bool, bool, bool)>(),
    ) {
        const LR: f64 = 0.3;
        const BOUND: f64 = 1e-3;
        let layout = layout();
        let mut batch = StubBatch::random(&layout, DIMS);
        let StubBatch { gradient, states, gates, head, .. } = &mut batch;
        for all in [gradient, states, gates, head] {
            all.iter_mut().zip(numbers.iter().cycle()).for_each(|(entry, number)| *entry *= number);
        }
        let settings = Kfac {
            lr: LR,
            kl_clip: Some(BOUND),
            damping: libm::pow(10.0, f64::from(damping)),
            damping_split: if pi { DampingSplit::Pi } else { DampingSplit::Each },
            fisher: if ggn { Fisher::Ggn } else { Fisher::Empirical },
            recurrent_factors: if per_gate { RecurrentFactors::PerGate } else { RecurrentFactors::Joint },
            bias: if separate { Bias::Separate } else { Bias::Homogeneous },
            sharing: if reduce { Sharing::Reduce } else { Sharing::Expand },
            ..proper()
        };
        let blocks = Block::all(&layout, KfacLayers::All, settings.bias, settings.recurrent_factors);
        let mut stepper = KfacStepper::<f64>::new(&settings, &layout);
        let before = vec![0.0; layout.len()];
        let mut after = before.clone();
        let notes = stepper.step(&mut after, &mut batch).unwrap();
        let step: Vec<f64> = after.iter().map(|weight| -weight).collect();
        let along = |block: &Block| -> f64 {
            let gradient = block.gradient(&batch.gradient, &before, 0.0);
            block.change(&step).iter().zip(gradient.iter()).map(|(p, g)| p * g).sum()
        };
        // lr·ν·⟨Δ, ∇⟩, positive since the preconditioner is positive definite.
        let along: Vec<f64> = blocks.iter().map(along).collect();
        let whole: f64 = along.iter().sum();
        let condition = notes.factor_condition.unwrap();
        let rounding = 1e-15 * condition * condition;
        prop_assume!(rounding < 1e-3);
        prop_assert!(along.iter().all(|along| *along > -rounding * whole), "{along:?}");
        let scale = notes.clip_scale.unwrap();
        prop_assert!(scale > 0.0 && scale <= 1.0);
        prop_assert!(LR * scale * whole <= BOUND * (1.0 + rounding));
        if scale < 1.0 {
            prop_assert!((LR * scale * whole / BOUND - 1.0).abs() < 1e-9 + rounding);
        }
    }
}

// ---- The Gauss–Newton matrix.

/// The network at the golden batch: its rows and tangents, and each path's outcome as a function of the weights.
fn outcome_at(case: &Case, weights: &[f64]) -> Vec<f64> {
    let (mut inputs, moves) = batch::<f64>();
    let mut policy = network().policy::<f64>(shape(case.fed_back));
    policy.forward(weights, &mut inputs, DIMS);
    let (mut pnl, mut charges, mut cost) = (Vec::new(), Vec::new(), Vec::new());
    moves.pnl(policy.positions(), &mut pnl);
    let book = crate::costs::Book { positions: policy.positions(), price: &moves.price, batch: DIMS.batch };
    costs().model().charges(book, &mut charges);
    crate::costs::sum_over_time(&charges, DIMS.batch, &mut cost);
    match case.loss {
        Loss::VariancePlusCost(_) => pnl,
        _ => pnl.iter().zip(&cost).map(|(pnl, cost)| pnl - cost).collect(),
    }
}

/// A stepper that asks for the linearisation and keeps a copy, and moves nothing.
struct Copied {
    dims: Dims,
    inputs: Vec<f64>,
    states: Vec<f64>,
    gates: Vec<f64>,
    head: Vec<f64>,
    curvature: Curvature,
    losses: [f64; 2],
    gradient: Vec<f64>,
}

impl Copied {
    fn at(&self) -> Linearization<'_, f64> {
        Linearization {
            seen: Seen { dims: self.dims, inputs: &self.inputs, states: &self.states },
            tangents: Signals { gates: &self.gates, head: &self.head },
            curvature: &self.curvature,
        }
    }
}

struct Copier {
    other: Vec<f64>,
    copied: Rc<RefCell<Option<Copied>>>,
}

impl Stepper<f64> for Copier {
    fn scope(&self) -> Scope {
        Scope::All
    }

    fn step(&mut self, weights: &mut [f64], batch: &mut dyn Batch<f64>) -> Result<StepNotes, SingularFactor> {
        let (loss, gradient) = (batch.loss(), batch.gradient().to_vec());
        let at = batch.linearize(weights).unwrap();
        let mut copied = Copied {
            dims: at.seen.dims,
            inputs: at.seen.inputs.to_vec(),
            states: at.seen.states.to_vec(),
            gates: at.tangents.gates.to_vec(),
            head: at.tangents.head.to_vec(),
            curvature: at.curvature.clone(),
            losses: [loss, 0.0],
            gradient,
        };
        copied.losses[1] = batch.loss_at(&self.other);
        *self.copied.borrow_mut() = Some(copied);
        Ok(StepNotes::default())
    }
}

/// The batch's linearisation, and the loss here and at `other`.
fn linearized(case: &Case, weights: &[f64], other: &[f64]) -> Copied {
    let (mut inputs, moves) = batch::<f64>();
    let (layout, costs) = (layout(), costs());
    let copied = Rc::new(RefCell::new(None));
    let mut trainer = Trainer::<f64>::new(TrainerParts {
        policy: network().policy(shape(case.fed_back)),
        layout: &layout,
        weights: weights.to_vec(),
        stepper: Box::new(Copier { other: other.to_vec(), copied: Rc::clone(&copied) }),
        objective: case.loss.objective(),
        costs: costs.model(),
        grad_clip: 1e9,
    });
    let report = trainer.step(&mut inputs, &moves);
    assert_eq!((report.breakdown, report.step_norm), (None, 0.0));
    copied.replace(None).expect("the stepper was asked")
}

fn ggn_cases() -> Vec<Case> {
    cases().into_iter().filter(|case| case.name.starts_with("ggn") || case.name == "lm_entropic").collect()
}

/// Some direction of the weights.
fn direction() -> Vec<f64> {
    let mut stream = Stream::new(Purpose::Test, 80, 0);
    (0..layout().len()).map(|_| stream.normal()).collect()
}

#[test]
fn the_slope_and_each_paths_change_are_difference_quotients() {
    let weights = golden::kfac().numbers("weights");
    let d = direction();
    let moved = |step: f64| -> Vec<f64> { weights.iter().zip(&d).map(|(w, d)| w + step * d).collect() };
    let blocks = Block::all(&layout(), KfacLayers::All, Bias::Homogeneous, RecurrentFactors::Joint);
    for case in ggn_cases() {
        const H: f64 = 1e-5;
        let (up, down) = (linearized(&case, &weights, &moved(H)), linearized(&case, &weights, &moved(-H)));
        let slope: f64 = up.gradient.iter().zip(&d).map(|(g, d)| g * d).sum();
        // Central differences: h²·f‴/6 and 1e-16·f/h, both some 1e-10.
        assert_close(&[slope], &[(up.losses[1] - down.losses[1]) / (2.0 * H)], 1e-8);
        let (above, below) = (outcome_at(&case, &moved(H)), outcome_at(&case, &moved(-H)));
        let quotients: Vec<f64> = above.iter().zip(&below).map(|(a, b)| (a - b) / (2.0 * H)).collect();
        assert_close(&ggn::directional(&blocks, up.at(), &d), &quotients, 1e-8);
    }
}

/// J_n of one layer as a matrix, a column an output: Σ_t ā ⊗ u.
fn path_jacobian(at: &Copied, place: usize, path: usize) -> DMatrix<f64> {
    let batch = StubBatch {
        dims: at.dims,
        gradient: Vec::new(),
        inputs: at.inputs.clone(),
        states: at.states.clone(),
        gates: at.gates.clone(),
        head: at.head.clone(),
        curvature: at.curvature.clone(),
        losses: Vec::new(),
    };
    let outer_at = |t: usize| {
        let (a, u) = (read(&batch, place, true, path, t), said(&batch, place, path, t));
        DMatrix::from_fn(a.len(), u.len(), |row, col| a[row] * u[col])
    };
    (0..at.dims.time).map(outer_at).reduce(|sum, x| sum + x).unwrap()
}

#[test]
fn the_quadratic_form_is_that_of_the_explicit_matrix() {
    let weights = golden::kfac().numbers("weights");
    let d = direction();
    let blocks = Block::all(&layout(), KfacLayers::All, Bias::Homogeneous, RecurrentFactors::Joint);
    for case in ggn_cases() {
        let at = linearized(&case, &weights, &weights);
        // The Jacobian of all layers, stacked, and the block matrix Jᵀ(diag c − ccᵀ/Σc)J.
        let rows: Vec<Vec<f64>> = (0..DIMS.batch)
            .map(|path| (0..2).flat_map(|place| path_jacobian(&at, place, path).as_slice().to_vec()).collect())
            .collect();
        let jacobian = DMatrix::from_fn(DIMS.batch, rows[0].len(), |row, col| rows[row][col]);
        let c = DMatrix::from_column_slice(DIMS.batch, 1, &at.curvature.weights);
        let hessian = DMatrix::from_diagonal(&c.column(0).into_owned()) - &c * c.transpose() / c.sum();
        let matrix = jacobian.transpose() * hessian * &jacobian;
        let stacked: Vec<f64> = blocks.iter().flat_map(|block| block.change(&d).as_slice().to_vec()).collect();
        let stacked = DMatrix::from_column_slice(stacked.len(), 1, &stacked);
        let expected = (stacked.transpose() * matrix * &stacked)[(0, 0)];
        let ours = at.curvature.quadratic(&ggn::directional(&blocks, at.at(), &d));
        assert_close(&[ours], &[expected], 1e-12);
    }
}

/// The exact block Σ_n c_n J_n J_nᵀ, outputs outside, which K-FAC approximates by G ⊗ A.
fn exact_block(at: &Copied, place: usize) -> DMatrix<f64> {
    (0..at.dims.batch)
        .map(|path| {
            let jacobian = path_jacobian(at, place, path);
            let vector = DMatrix::from_column_slice(jacobian.len(), 1, jacobian.as_slice());
            &vector * vector.transpose() * at.curvature.weights[path]
        })
        .reduce(|sum, x| sum + x)
        .unwrap()
}

fn kronecker_block(at: &Copied, block: &Block, sharing: Sharing) -> DMatrix<f64> {
    let statistics = Statistics { sharing, precision: Precision::Chunked };
    let linearization = at.at();
    let cotangents = Cotangents::Outcomes(linearization.tangents, &at.curvature.weights);
    let outputs = statistics.outputs(block, [at.dims.batch, at.dims.time], cotangents);
    outputs[0].kronecker(&statistics.inputs(block, linearization.seen))
}

/// Rows that a deep linear network or one point in time would have: `signal` says what each path's u is.
fn synthetic(dims: Dims, inputs: impl Fn(usize, usize) -> f64, signal: impl Fn(usize, usize) -> f64) -> Copied {
    let fill = |width: usize, number: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
        (0..dims.time * dims.batch)
            .flat_map(|row| (0..width).map(move |unit| (row % dims.batch, unit)))
            .map(|(path, unit)| number(path, unit))
            .collect()
    };
    Copied {
        dims,
        inputs: fill(INPUTS, &inputs),
        states: fill(HIDDEN, &|path, unit| inputs(path, unit + 10)),
        gates: fill(4 * HIDDEN, &|path, unit| signal(path, unit)),
        head: fill(1, &|path, _| signal(path, 99)),
        curvature: Curvature { of: Outcome::Gross, weights: vec![0.7; dims.batch] },
        losses: [0.0; 2],
        gradient: Vec::new(),
    }
}

fn wave(a: usize, b: usize) -> f64 {
    libm::sin(1.0 + 3.7 * a as f64 + 1.3 * b as f64)
}

#[test]
fn the_kronecker_product_is_exact_for_squared_error_on_a_deep_linear_network() {
    // A deep linear network's Jacobian at a layer's output is the product of the later weights, the same for every example.
    let at = synthetic(Dims { batch: 9, time: 1 }, wave, |_, unit| wave(41, unit));
    for sharing in [Sharing::Expand, Sharing::Reduce] {
        for (place, block) in
            Block::all(&layout(), KfacLayers::All, Bias::Homogeneous, RecurrentFactors::Joint).iter().enumerate()
        {
            assert_matrices_close(&kronecker_block(&at, block, sharing), &exact_block(&at, place), 1e-13);
        }
    }
    // Where u moves with a, it is not.
    let at = synthetic(Dims { batch: 9, time: 1 }, wave, wave);
    let head = &Block::all(&layout(), KfacLayers::All, Bias::Homogeneous, RecurrentFactors::Joint)[1];
    assert!(deviation(kronecker_block(&at, head, Sharing::Expand).as_slice(), exact_block(&at, 1).as_slice()) > 0.01);
}

#[test]
fn the_kronecker_product_is_exact_for_the_variance_loss_on_antithetic_pairs_at_one_point() {
    // Paths 2k and 2k + 1 read the same a and move by +1 and −1: J̄ = 0, and u² does not move with a.
    let at = synthetic(
        Dims { batch: 8, time: 1 },
        |path, unit| wave(path / 2, unit),
        |path, unit| {
            let sign = if path % 2 == 0 { 1.0 } else { -1.0 };
            sign * wave(17, unit)
        },
    );
    for (place, block) in
        Block::all(&layout(), KfacLayers::All, Bias::Homogeneous, RecurrentFactors::Joint).iter().enumerate()
    {
        let mean = (0..8).map(|path| path_jacobian(&at, place, path)).reduce(|sum, x| sum + x).unwrap();
        assert_eq!(mean.iter().fold(0.0_f64, |largest, x| largest.max(x.abs())), 0.0);
        assert_matrices_close(&kronecker_block(&at, block, Sharing::Expand), &exact_block(&at, place), 1e-13);
    }
}

#[test]
fn dropping_the_mean_jacobian_overestimates() {
    let weights = golden::kfac().numbers("weights");
    let at = linearized(&ggn_cases()[0], &weights, &weights);
    let d = direction();
    let blocks = Block::all(&layout(), KfacLayers::All, Bias::Homogeneous, RecurrentFactors::Joint);
    let change = ggn::directional(&blocks, at.at(), &d);
    let kept: f64 = at.curvature.weights.iter().zip(&change).map(|(c, v)| c * v * v).sum();
    assert!(kept > at.curvature.quadratic(&change));
}

// ---- Weights, blocks and biases.

#[test]
fn every_weight_has_its_place_and_two_biases_share_a_step() {
    let layout = layout();
    let numbers: Vec<f64> = (0..layout.len()).map(|place| place as f64).collect();
    for block in Block::all(&layout, KfacLayers::All, Bias::Homogeneous, RecurrentFactors::Joint) {
        // What a step of `change` takes off the weights is `change` again, and nothing else moves.
        let change = block.change(&direction());
        let mut moved = numbers.clone();
        block.take(&change, &mut moved);
        let taken: Vec<f64> = numbers.iter().zip(&moved).map(|(before, after)| before - after).collect();
        assert_close(block.change(&taken).as_slice(), change.as_slice(), 1e-13);
        let ranges: Vec<_> = layout.tensors().iter().map(|spec| spec.range.clone()).collect();
        let recurrent = block.needs_gates();
        for (place, range) in ranges.iter().enumerate() {
            assert_eq!(taken[range.clone()].iter().all(|x| *x == 0.0), recurrent != (place < 4));
        }
        if recurrent {
            assert_close(&taken[ranges[2].clone()], &taken[ranges[3].clone()], 1e-12);
        }
    }
}

#[test]
fn everything_that_is_not_trained_stays() {
    let head = train::<f64>(&Case::new("", Kfac { fisher: Fisher::Ggn, ..Kfac::default() }), 2);
    let start = golden::kfac().numbers("weights");
    assert_eq!(head[1].1[layout().body()], start[layout().body()]);
    assert!(head[1].1[layout().head()].iter().zip(&start[layout().head()]).all(|(a, b)| a != b));
    let all = train::<f64>(&Case::new("", proper()), 2);
    assert!(all[1].1.iter().zip(&start).all(|(a, b)| a != b));
}

// ---- Keys.

#[test]
fn a_loss_without_curvature_is_refused_where_curvature_is_needed() {
    use crate::{Preset, RunConfig, Value};
    let resolve = |keys: &[(&str, Value)]| {
        let all: Vec<(&str, Value)> = [("optimizer.kind", Value::from("kfac"))].iter().chain(keys).cloned().collect();
        RunConfig::resolve(Preset::Paper, 0, all.iter().map(|(key, value)| (*key, value)))
    };
    let cvar = ("loss.kind", Value::from("cvar"));
    let ggn = ("optimizer.fisher", Value::from("ggn"));
    let adapt = ("optimizer.damping_adapt", Value::from("levenberg_marquardt"));
    let errors = resolve(&[cvar.clone(), ggn.clone(), adapt.clone()]).unwrap_err();
    assert_eq!(
        errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "optimizer.fisher: ggn needs a loss with a curvature; loss.kind cvar is piecewise linear; allowed: empirical, or another loss",
            "optimizer.damping_adapt: levenberg_marquardt needs a loss with a curvature; loss.kind cvar is piecewise linear; allowed: none, or another loss",
        ]
    );
    assert!(resolve(&[cvar]).is_ok());
    for loss in ["variance_plus_cost", "mean_variance", "entropic"] {
        assert!(resolve(&[("loss.kind", loss.into()), ggn.clone(), adapt.clone()]).is_ok());
    }
}

// ---- Factors that have no inverse.

fn adaptive() -> Kfac {
    Kfac { damping_adapt: DampingAdapt::LevenbergMarquardt, damping: 1e-8, ..proper() }
}

fn step_on(
    stepper: &mut KfacStepper<f64>,
    weights: &mut [f64],
    batch: &mut StubBatch,
) -> Result<StepNotes, SingularFactor> {
    let notes = stepper.step(weights, batch);
    assert!(weights.iter().all(|weight| weight.is_finite()));
    notes
}

#[test]
fn zero_rank_one_and_singular_factors_are_stepped_on() {
    let layout = layout();
    for recurrent_factors in [RecurrentFactors::Joint, RecurrentFactors::PerGate] {
        for damping_split in [DampingSplit::Each, DampingSplit::Pi] {
            for scale in [0.0, 1.0, 1e-150, 1e9, 1e60] {
                let settings = Kfac { recurrent_factors, damping_split, kl_clip: Some(1e-3), ..adaptive() };
                let mut stepper = KfacStepper::<f64>::new(&settings, &layout);
                let mut weights = vec![0.1; layout.len()];
                // All rows alike: rank one.
                let mut batch = StubBatch::new(&layout, DIMS);
                for numbers in [&mut batch.inputs, &mut batch.states, &mut batch.gates, &mut batch.head] {
                    numbers.iter_mut().for_each(|number| *number *= scale);
                }
                for _ in 0..3 {
                    let notes = step_on(&mut stepper, &mut weights, &mut batch);
                    assert!(notes.is_ok() || scale > 1e9, "{scale}: {notes:?}");
                }
                assert!(stepper.damping().unwrap() <= 1e3);
            }
        }
    }
}

#[test]
fn damping_rises_until_a_factor_has_an_inverse() {
    let layout = layout();
    let mut stepper = KfacStepper::<f64>::new(&adaptive(), &layout);
    let mut weights = vec![0.1; layout.len()];
    // Rank one and so large that 1e-8 is lost in its rounding: the factors' entries are near 2.5e11.
    let mut batch = StubBatch::new(&layout, DIMS);
    batch.states.fill(5e5);
    let notes = step_on(&mut stepper, &mut weights, &mut batch).unwrap();
    let raised = stepper.damping().unwrap();
    assert!(raised > 1e-8 && raised < 1e3, "{raised}");
    assert!(notes.factor_condition.unwrap() > 1e6);
    assert!(weights.iter().any(|weight| *weight != 0.1));
}

#[test]
fn a_batch_with_nan_factors_is_stepped_on_with_the_last_inverses() {
    let layout = layout();
    let settings = Kfac { damping: 0.1, ema: 0.9, ..adaptive() };
    let mut stepper = KfacStepper::<f64>::new(&settings, &layout);
    let mut weights = vec![0.1; layout.len()];
    let (mut good, mut bad) = (StubBatch::random(&layout, DIMS), StubBatch::random(&layout, DIMS));
    bad.gates[5] = f64::NAN;
    // Before there are inverses there is no step.
    assert_eq!(step_on(&mut stepper, &mut weights, &mut bad), Ok(StepNotes::default()));
    assert!(weights.iter().all(|weight| *weight == 0.1));
    step_on(&mut stepper, &mut weights, &mut good).unwrap();
    let before = weights.clone();
    assert!(step_on(&mut stepper, &mut weights, &mut bad).unwrap().factor_condition.is_some());
    assert_ne!(weights, before);
    // The running means have not taken it in, and patience ends.
    step_on(&mut stepper, &mut weights, &mut good).unwrap();
    let failures = (0..100).take_while(|_| step_on(&mut stepper, &mut weights, &mut bad).is_ok()).count();
    assert_eq!(failures, damping::PATIENCE as usize);
    let singular = SingularFactor { factor: "G of the LSTM" };
    assert_eq!(step_on(&mut stepper, &mut weights, &mut bad), Err(singular));
    let message = crate::trainer::Breakdown::Factor(singular).to_string();
    assert_eq!(message, "K-FAC's factor G of the LSTM cannot be inverted");
}

#[test]
fn with_a_fixed_damping_the_factor_is_named_and_nothing_moves() {
    let layout = layout();
    let expected = [
        ("A of the LSTM", RecurrentFactors::Joint),
        ("G of the LSTM's candidate", RecurrentFactors::PerGate),
        ("A of the head", RecurrentFactors::Joint),
        ("G of the head", RecurrentFactors::Joint),
    ];
    for (factor, recurrent_factors) in expected {
        let mut stepper = KfacStepper::<f64>::new(&Kfac { recurrent_factors, ..proper() }, &layout);
        let mut batch = StubBatch::random(&layout, DIMS);
        match factor {
            "A of the LSTM" => batch.inputs[4] = f64::NAN,
            "A of the head" => *batch.states.last_mut().unwrap() = f64::INFINITY,
            "G of the head" => batch.head[3] = 1e200,
            _ => batch.gates[2 * HIDDEN + 1] = f64::NAN,
        }
        let mut weights = vec![0.1; layout.len()];
        assert_eq!(step_on(&mut stepper, &mut weights, &mut batch), Err(SingularFactor { factor }));
        assert!(weights.iter().all(|weight| *weight == 0.1));
    }
}

#[test]
fn a_look_at_a_loss_that_is_no_number_raises_the_damping() {
    let layout = layout();
    let mut stepper = KfacStepper::<f64>::new(&Kfac { damping: 0.1, ..adaptive() }, &layout);
    let mut weights = vec![0.1; layout.len()];
    let mut batch = StubBatch::random(&layout, DIMS);
    batch.losses = vec![f64::NAN];
    let notes: Vec<StepNotes> = (0..5).map(|_| step_on(&mut stepper, &mut weights, &mut batch).unwrap()).collect();
    assert!(notes.iter().all(|notes| notes.trust_ratio.is_none()));
    assert!((stepper.damping().unwrap() - 0.1 / 0.773_780_937_5).abs() < 1e-12);
}
