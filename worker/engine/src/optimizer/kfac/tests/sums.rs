//! Factors against slow direct sums, and preconditioning against a hand-built Kronecker product.

use super::*;

/// ā of one layer on one path at one point, written down once more.
pub(super) fn read(batch: &StubBatch, block: usize, homogeneous: bool, path: usize, time: usize) -> Vec<f64> {
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

pub(super) fn said(batch: &StubBatch, block: usize, path: usize, time: usize) -> Vec<f64> {
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
pub(super) fn assert_matrices_close(ours: &DMatrix<f64>, expected: &DMatrix<f64>, bound: f64) {
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
                            let ours = factors_of(block, sharing, precision, batch.seen(), cotangents);
                            assert_matrices_close(&ours.inputs, &outer(&inputs), 1e-14);
                            let width = whole.nrows() / ours.outputs.len();
                            for (group, ours) in ours.outputs.iter().enumerate() {
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
    let of = |scale| {
        let cotangents = Cotangents::Loss(batch.signals(), scale);
        factors_of(head, Sharing::Expand, Precision::Double, batch.seen(), cotangents).outputs[0][(0, 0)]
    };
    let ratio = of(GradientScale::PerExample) / of(GradientScale::BatchMean);
    let (n, d) = (DIMS.batch as f64, DIMS.time as f64);
    assert!((ratio / (n * n * d) - 1.0).abs() < 1e-14);
}

#[test]
fn running_means_are_corrected_for_their_start() {
    let factors =
        |x: f64| Factors { inputs: DMatrix::from_element(1, 1, x), outputs: vec![DMatrix::from_element(1, 1, -x)] };
    // A head of one weight.
    let layout = Network::Lstm(Lstm { hidden: 1, ..Lstm::default() }).layout(INPUTS);
    let head = &Block::all(&layout, KfacLayers::Head, Bias::Separate, RecurrentFactors::Joint)[0];
    let mean = |running: &RunningFactors| {
        let mut mean = factors(f64::NAN);
        running.mean(&mut mean);
        mean
    };
    let mut running = RunningFactors::of(head);
    running.take(&factors(3.0), 0.9);
    let close = |x: f64, y: f64| assert!((x - y).abs() < 1e-14, "{x} for {y}");
    close(mean(&running).inputs[(0, 0)], 3.0);
    running.take(&factors(5.0), 0.9);
    // (0.9·0.1·3 + 0.1·5)/(1 − 0.81)
    close(mean(&running).inputs[(0, 0)], 0.77 / 0.19);
    close(mean(&running).outputs[0][(0, 0)], -0.77 / 0.19);
    let mut forgetful = RunningFactors::of(head);
    forgetful.take(&factors(f64::NAN), 0.0);
    forgetful.take(&factors(0.3), 0.0);
    assert_eq!(mean(&forgetful), factors(0.3), "to the bit, whatever came before");
}

#[test]
fn the_heads_a_is_the_recurrent_layers_with_the_last_point() {
    let batch = StubBatch::random(&layout(), DIMS);
    let cotangents = Cotangents::Loss(batch.signals(), GradientScale::PerExample);
    for bias in [Bias::Separate, Bias::Homogeneous] {
        let blocks = Block::all(&layout(), KfacLayers::All, bias, RecurrentFactors::Joint);
        let [recurrent, direct] = [&blocks[0], &blocks[1]]
            .map(|block| factors_of(block, Sharing::Expand, Precision::Chunked, batch.seen(), cotangents).inputs);
        let mut statistics = Statistics::new(&blocks[1], Sharing::Expand, Precision::Chunked);
        let mut derived = DMatrix::from_element(direct.nrows(), direct.ncols(), f64::NAN);
        statistics.head_inputs(&blocks[1], batch.seen(), &recurrent, &mut derived);
        assert_matrices_close(&derived, &direct, 1e-14);
    }
}

#[test]
fn preconditioning_is_a_dense_solve_with_the_kronecker_product() {
    let batch = StubBatch::random(&layout(), DIMS);
    let weights = golden::kfac().numbers("weights");
    for split in [DampingSplit::Each, DampingSplit::Pi] {
        for block in Block::all(&layout(), KfacLayers::All, Bias::Homogeneous, RecurrentFactors::Joint) {
            let cotangents = Cotangents::Loss(batch.signals(), GradientScale::PerExample);
            let factors = factors_of(&block, Sharing::Expand, Precision::Chunked, batch.seen(), cotangents);
            let mut inverse = Inverse::room_for(&block, split);
            inverse.take(&block, &factors, split, 0.3).unwrap();
            let gradient = gradient_of(&block, &batch.gradient, &weights, 0.1);
            let mut step = block.room();
            inverse.precondition(&gradient, 0.7, Bias::Homogeneous, &mut step);
            let damped = split::damped(split, 0.3, &factors.inputs, &factors.outputs[0]);
            // A column an output, stacked: its Kronecker product has G outside.
            let dense = damped.outputs.of(&factors.outputs[0]).kronecker(&damped.inputs.of(&factors.inputs));
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
            let gradient = gradient_of(block, &batch.gradient, &before, 0.0);
            change_of(block, &step).iter().zip(gradient.iter()).map(|(p, g)| p * g).sum()
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
