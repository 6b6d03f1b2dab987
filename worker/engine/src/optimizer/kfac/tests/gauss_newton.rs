//! The Gauss–Newton matrix against difference quotients, explicit sums, and the cases where the approximation is exact.

use super::*;

/// The network at the golden batch: its rows and tangents, and each path's outcome as a function of the weights.
fn outcome_at(case: &Case, weights: &[f64]) -> Vec<f64> {
    let (mut inputs, moves) = batch::<f64>();
    let mut policy = network().policy::<f64>(shape(case.fed_back), DIMS.batch);
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
            tangents: Signals { gates: &self.gates, gate_stride: self.gates.len() / self.head.len(), head: &self.head },
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
            gates: at
                .tangents
                .gates
                .chunks(at.tangents.gate_stride)
                .flat_map(|row| &row[..4 * HIDDEN])
                .copied()
                .collect(),
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
        policy: network().policy(shape(case.fed_back), DIMS.batch),
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
pub(super) fn direction() -> Vec<f64> {
    let mut stream = Stream::new(Purpose::Test, 80, 0);
    (0..layout().len()).map(|_| stream.normal()).collect()
}

/// J·d over all layers.
fn directional(at: Linearization<'_, f64>, d: &[f64]) -> Vec<f64> {
    let blocks = Block::all(&layout(), KfacLayers::All, Bias::Homogeneous, RecurrentFactors::Joint);
    ggn::Model::new(blocks).directional(at, d).to_vec()
}

#[test]
fn the_slope_and_each_paths_change_are_difference_quotients() {
    let weights = golden::kfac().numbers("weights");
    let d = direction();
    let moved = |step: f64| -> Vec<f64> { weights.iter().zip(&d).map(|(w, d)| w + step * d).collect() };
    for case in ggn_cases() {
        const H: f64 = 1e-5;
        let (up, down) = (linearized(&case, &weights, &moved(H)), linearized(&case, &weights, &moved(-H)));
        let slope: f64 = up.gradient.iter().zip(&d).map(|(g, d)| g * d).sum();
        // Central differences: h²·f‴/6 and 1e-16·f/h, both some 1e-10.
        assert_close(&[slope], &[(up.losses[1] - down.losses[1]) / (2.0 * H)], 1e-8);
        let (above, below) = (outcome_at(&case, &moved(H)), outcome_at(&case, &moved(-H)));
        let quotients: Vec<f64> = above.iter().zip(&below).map(|(a, b)| (a - b) / (2.0 * H)).collect();
        assert_close(&directional(up.at(), &d), &quotients, 1e-8);
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
        let stacked: Vec<f64> = blocks.iter().flat_map(|block| change_of(block, &d).as_slice().to_vec()).collect();
        let stacked = DMatrix::from_column_slice(stacked.len(), 1, &stacked);
        let expected = (stacked.transpose() * matrix * &stacked)[(0, 0)];
        let ours = at.curvature.quadratic(&directional(at.at(), &d));
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
    let linearization = at.at();
    let cotangents = Cotangents::Outcomes(linearization.tangents, &at.curvature.weights);
    let factors = factors_of(block, sharing, Precision::Chunked, linearization.seen, cotangents);
    factors.outputs[0].kronecker(&factors.inputs)
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
    let change = directional(at.at(), &d);
    let kept: f64 = at.curvature.weights.iter().zip(&change).map(|(c, v)| c * v * v).sum();
    assert!(kept > at.curvature.quadratic(&change));
}
