//! The LSTM against PyTorch and against difference quotients, and the fast one against the reference.

use super::across_paths::LstmAcrossPaths;
use super::across_units::{BLOCK, LstmAcrossUnits};
use super::reference::ReferenceLstm;
use super::*;
use crate::golden::{self, assert_close, assert_gradient};
use crate::network::{GateRows, Gradient, Scope};
use proptest::prelude::*;

/// The golden batch's dimensions.
const DIMS: Dims = Dims { batch: 6, time: 9 };
const INPUTS: usize = 3;
const OPEN: InputShape = InputShape { count: INPUTS, fed_back: None };
/// The network sees its own last position between two other inputs.
const FED_BACK: InputShape = InputShape { count: INPUTS, fed_back: Some(1) };

fn lstm() -> Lstm {
    Lstm { hidden: 5, ..Lstm::default() }
}

/// Positions, and the gradients of Σ `d_positions`·δ with respect to weights and inputs.
fn passes<R: Real>(scope: Scope) -> [Vec<f64>; 3] {
    passes_of::<R>(OPEN, scope)
}

fn passes_of<R: Real>(shape: InputShape, scope: Scope) -> [Vec<f64>; 3] {
    passes_with(lstm().policy::<R>(shape, DIMS.batch).as_mut(), scope)
}

fn passes_with<R: Real>(policy: &mut dyn Policy<R>, scope: Scope) -> [Vec<f64>; 3] {
    let golden = golden::engine();
    let real = |name: &str| golden.numbers(name).into_iter().map(R::from_f64).collect::<Vec<R>>();
    let (weights, mut inputs) = (real("net.weights"), real("net.inputs"));
    policy.forward(&weights, &mut inputs, DIMS);
    let d_positions = d_positions().into_iter().map(R::from_f64).collect::<Vec<R>>();
    let mut d_weights = vec![R::ONE; weights.len()];
    let mut d_inputs = vec![R::ZERO; inputs.len()];
    let out = Gradient { weights: Some(&mut d_weights), inputs: Some(&mut d_inputs), gates: None };
    policy.backward(&weights, &inputs, &d_positions, scope, out);
    [policy.positions(), &d_weights, &d_inputs].map(|values| values.iter().map(|x| x.to_f64()).collect())
}

/// The reference in f32, and the fast ones.
fn single_precision(shape: InputShape) -> [Box<dyn Policy<f32>>; 3] {
    let isa = Isa::detect();
    [
        Box::new(ReferenceLstm::<f32>::new(&lstm(), shape)),
        Box::new(LstmAcrossUnits::new(&lstm(), shape, isa)),
        Box::new(LstmAcrossPaths::new(&lstm(), shape, isa)),
    ]
}

/// Any cotangent will do.
fn d_positions() -> Vec<f64> {
    (0..DIMS.batch * DIMS.time).map(|place| ((place * 37 % 101) as f64 - 50.0) / 50.0).collect()
}

#[test]
fn positions_are_pytorchs() {
    let expected = golden::engine().numbers("net.positions");
    let [positions, ..] = passes::<f64>(Scope::All);
    assert_close(&positions, &expected, 1e-13);
    for mut single in single_precision(OPEN) {
        let [positions, ..] = passes_with(single.as_mut(), Scope::All);
        assert_close(&positions, &expected, 1e-5);
    }
}

#[test]
fn gradients_are_difference_quotients() {
    let golden = golden::engine();
    let (weights, inputs) = (golden.numbers("net.weights"), golden.numbers("net.inputs"));
    for shape in [OPEN, FED_BACK] {
        let mut policy = ReferenceLstm::<f64>::new(&lstm(), shape);
        let mut value = |weights: &[f64], inputs: &[f64]| -> f64 {
            policy.forward(weights, &mut inputs.to_vec(), DIMS);
            policy.positions().iter().zip(d_positions()).map(|(y, d)| y * d).sum()
        };
        let [_, d_weights, d_inputs] = passes_of::<f64>(shape, Scope::All);
        let layout = lstm().layout(INPUTS);
        for spec in layout.tensors() {
            let part = spec.range.clone();
            let of_tensor = |tensor: &[f64]| {
                let mut changed = weights.clone();
                changed[part.clone()].copy_from_slice(tensor);
                value(&changed, &inputs)
            };
            // Central differences at h = 1e-5: h²·f‴/6 and 1e-16·f/h are both some 1e-10.
            assert_gradient(of_tensor, &weights[part.clone()], &d_weights[part.clone()], 1e-5, 1e-8);
        }
        if shape == OPEN {
            assert_gradient(|inputs| value(&weights, inputs), &inputs, &d_inputs, 1e-5, 1e-8);
        }
    }
}

#[test]
fn what_is_fed_back_is_the_last_position() {
    let golden = golden::engine();
    let (weights, mut inputs) = (golden.numbers("net.weights"), golden.numbers("net.inputs"));
    let first: Vec<f64> = inputs[..DIMS.batch * INPUTS].to_vec();
    let mut fed_back = ReferenceLstm::<f64>::new(&lstm(), FED_BACK);
    fed_back.forward(&weights, &mut inputs, DIMS);
    assert_eq!(inputs[..DIMS.batch * INPUTS], first, "before the first point there is no position");
    let seen: Vec<f64> = inputs[DIMS.batch * INPUTS..].iter().skip(1).step_by(INPUTS).copied().collect();
    assert_eq!(seen, fed_back.positions()[..DIMS.batch * (DIMS.time - 1)]);
    // An open network that is told the same sees the same.
    let mut open = ReferenceLstm::<f64>::new(&lstm(), OPEN);
    open.forward(&weights, &mut inputs, DIMS);
    assert_eq!(open.positions(), fed_back.positions());
}

#[test]
fn single_precision_gradients_follow() {
    let [_, d_weights, d_inputs] = passes::<f64>(Scope::All);
    for mut single in single_precision(OPEN) {
        let [_, single_weights, single_inputs] = passes_with(single.as_mut(), Scope::All);
        for spec in lstm().layout(INPUTS).tensors() {
            assert_close(&single_weights[spec.range.clone()], &d_weights[spec.range.clone()], 1e-5);
        }
        assert_close(&single_inputs, &d_inputs, 1e-5);
    }
}

#[test]
fn the_two_biases_have_equal_gradients() {
    let [_, d_weights, _] = passes::<f32>(Scope::All);
    let layout = lstm().layout(INPUTS);
    let [a, b] = [2, 3].map(|tensor| &d_weights[layout.tensors()[tensor].range.clone()]);
    assert_eq!(a, b);
}

#[test]
fn the_heads_gradient_alone_is_the_same_and_leaves_the_rest_zero() {
    for shape in [OPEN, FED_BACK] {
        let [_, all, _] = passes_of::<f32>(shape, Scope::All);
        let [_, head, _] = passes_of::<f32>(shape, Scope::Head);
        let layout = lstm().layout(INPUTS);
        assert_eq!(all[layout.head()], head[layout.head()]);
        assert!(head[layout.body()].iter().all(|d| *d == 0.0));
    }
}

#[test]
fn the_gates_gradients_make_up_the_weights() {
    let golden = golden::engine();
    let (weights, mut inputs) = (golden.numbers("net.weights"), golden.numbers("net.inputs"));
    let hidden = 5;
    for shape in [OPEN, FED_BACK] {
        let mut policy = ReferenceLstm::<f64>::new(&lstm(), shape);
        policy.forward(&weights, &mut inputs, DIMS);
        let mut gates = vec![1.0; DIMS.time * DIMS.batch * 4 * hidden];
        let rows = GateRows { rows: &mut gates, stride: 4 * hidden };
        let out = Gradient { weights: None, inputs: None, gates: Some(rows) };
        policy.backward(&weights, &inputs, &d_positions(), Scope::All, out);
        let mut d_weights = vec![0.0; weights.len()];
        policy.backward(&weights, &inputs, &d_positions(), Scope::All, Gradient::of_weights(&mut d_weights));
        let layout = lstm().layout(INPUTS);
        let [of_inputs, of_states, of_bias] =
            [0, 1, 2].map(|tensor| &d_weights[layout.tensors()[tensor].range.clone()]);
        for gate in 0..4 * hidden {
            let rows = || gates.chunks(4 * hidden).map(|row| row[gate]).enumerate();
            let against = |seen: &[f64], width: usize, column: usize, delay: usize| -> f64 {
                let delayed = rows().filter(|(row, _)| *row >= delay);
                delayed.map(|(row, d)| d * seen[(row - delay) * width + column]).sum()
            };
            let bias: f64 = rows().map(|(_, d)| d).sum();
            assert_close(&[bias], &[of_bias[gate]], 1e-12);
            for column in 0..INPUTS {
                assert_close(&[against(&inputs, INPUTS, column, 0)], &[of_inputs[gate * INPUTS + column]], 1e-12);
            }
            for column in 0..hidden {
                let sum = against(policy.head_inputs(), hidden, column, DIMS.batch);
                assert_close(&[sum], &[of_states[gate * hidden + column]], 1e-12);
            }
        }
    }
}

#[test]
fn a_path_does_not_feel_its_neighbours() {
    let golden = golden::engine();
    let weights: Vec<f32> = golden.numbers("net.weights").into_iter().map(|w| w as f32).collect();
    let inputs: Vec<f32> = golden.numbers("net.inputs").into_iter().map(|x| x as f32).collect();
    for mut policy in [OPEN, FED_BACK].into_iter().flat_map(single_precision) {
        policy.forward(&weights, &mut inputs.clone(), DIMS);
        let together: Vec<f32> = policy.positions().chunks(DIMS.batch).map(|row| row[4]).collect();
        let mut alone: Vec<f32> =
            inputs.chunks(DIMS.batch * INPUTS).flat_map(|row| row[4 * INPUTS..5 * INPUTS].to_vec()).collect();
        policy.forward(&weights, &mut alone, Dims { batch: 1, time: DIMS.time });
        assert_eq!(together, policy.positions());
    }
}

#[test]
fn a_later_input_moves_no_earlier_position() {
    let golden = golden::engine();
    let (weights, inputs) = (golden.numbers("net.weights"), golden.numbers("net.inputs"));
    for shape in [OPEN, FED_BACK] {
        let mut policy = ReferenceLstm::<f64>::new(&lstm(), shape);
        policy.forward(&weights, &mut inputs.clone(), DIMS);
        let before = policy.positions().to_vec();
        for time in 0..DIMS.time {
            let mut changed = inputs.clone();
            changed[time * DIMS.batch * INPUTS..].iter_mut().for_each(|x| *x += 1.0);
            policy.forward(&weights, &mut changed, DIMS);
            let (same, moved) = policy.positions().split_at(time * DIMS.batch);
            assert_eq!(same, &before[..time * DIMS.batch]);
            assert_ne!(moved, &before[time * DIMS.batch..]);
        }
    }
}

/// Everything that a forward and a backward pass give.
#[derive(Debug, PartialEq)]
struct Pass<R> {
    inputs: Vec<R>,
    positions: Vec<R>,
    head_inputs: Vec<R>,
    head_gradients: Vec<R>,
    d_weights: Vec<R>,
    d_inputs: Vec<R>,
    d_gates: Vec<R>,
}

impl Pass<f32> {
    fn parts(&self) -> [(&'static str, &[f32]); 7] {
        [
            ("inputs", &self.inputs),
            ("positions", &self.positions),
            ("head inputs", &self.head_inputs),
            ("head gradients", &self.head_gradients),
            ("d_weights", &self.d_weights),
            ("d_inputs", &self.d_inputs),
            ("d_gates", &self.d_gates),
        ]
    }
}

/// A network and a batch of any shape, with numbers of the size that they have in use.
#[derive(Clone, Debug)]
struct Case {
    hidden: usize,
    shape: InputShape,
    dims: Dims,
    scope: Scope,
    seed: u64,
}

fn case() -> impl Strategy<Value = Case> {
    let batch = prop_oneof![1..5_usize, 7..19_usize, BLOCK - 2..BLOCK + 4, Just(2 * BLOCK + 7)];
    let dims = (batch, 1..11_usize);
    let shape = (1..12_usize).prop_flat_map(|count| (Just(count), proptest::option::of(0..count)));
    let scope = prop_oneof![Just(Scope::All), Just(Scope::Head)];
    (1..50_usize, shape, dims, scope, 0..1000_u64).prop_map(
        |(hidden, (count, fed_back), (batch, time), scope, seed)| Case {
            hidden,
            shape: InputShape { count, fed_back },
            dims: Dims { batch, time },
            scope,
            seed,
        },
    )
}

impl Case {
    fn lstm(&self) -> Lstm {
        Lstm { hidden: self.hidden as u64, ..Lstm::default() }
    }

    /// `count` numbers on ±`size`, exact in f32.
    fn numbers<R: Real>(&self, stream: u64, count: usize, size: f32) -> Vec<R> {
        let mut state = 1000 * self.seed + stream;
        let mut next = || {
            // Knuth's multiplier; the upper bits.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * size
        };
        (0..count).map(|_| R::from_f64(f64::from(next()))).collect()
    }

    fn weights<R: Real>(&self, count: usize) -> Vec<R> {
        self.numbers(0, count, 2.0 / (self.hidden as f32).sqrt())
    }

    fn pass<R: Real>(&self, policy: &mut dyn Policy<R>) -> Pass<R> {
        let rows = self.dims.batch * self.dims.time;
        let layout = self.lstm().layout(self.shape.count);
        let weights: Vec<R> = self.weights(layout.len());
        let mut inputs = self.numbers(1, rows * self.shape.count, 2.0);
        let d_positions: Vec<R> = self.numbers(2, rows, 1.0);
        policy.forward(&weights, &mut inputs, self.dims);
        let mut d_weights = vec![R::ONE; weights.len()];
        let mut d_inputs = vec![R::ZERO; inputs.len()];
        let stride = 4 * self.hidden + 3;
        let mut d_gates = vec![R::ONE; rows * stride];
        let gates = Some(GateRows { rows: &mut d_gates, stride });
        let out = Gradient { weights: Some(&mut d_weights), inputs: Some(&mut d_inputs), gates };
        policy.backward(&weights, &inputs, &d_positions, self.scope, out);
        Pass {
            inputs,
            positions: policy.positions().to_vec(),
            head_inputs: policy.head_inputs().to_vec(),
            head_gradients: policy.head_gradients().to_vec(),
            d_weights,
            d_inputs,
            d_gates: d_gates.chunks(stride).flat_map(|row| &row[..4 * self.hidden]).copied().collect(),
        }
    }

    /// The fast ones, whichever is taken for this many units.
    fn fast(&self, isa: Isa) -> [Box<dyn Policy<f32>>; 2] {
        [
            Box::new(LstmAcrossUnits::new(&self.lstm(), self.shape, isa)),
            Box::new(LstmAcrossPaths::new(&self.lstm(), self.shape, isa)),
        ]
    }

    fn passes(&self, isa: Isa) -> [Pass<f32>; 2] {
        self.fast(isa).map(|mut policy| self.pass(policy.as_mut()))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_instruction_set_gives_the_same_bits(case in case()) {
        let plain = case.passes(Isa::all()[0]);
        for isa in &Isa::all()[1..] {
            prop_assert_eq!(&case.passes(*isa), &plain, "{:?}", isa);
        }
    }

    #[test]
    fn the_fast_ones_follow_the_reference_in_double_precision(case in case()) {
        let exact = case.pass(&mut ReferenceLstm::<f64>::new(&case.lstm(), case.shape));
        let exact = [
            &exact.inputs, &exact.positions, &exact.head_inputs, &exact.head_gradients,
            &exact.d_weights, &exact.d_inputs, &exact.d_gates,
        ];
        let fast = case.passes(Isa::detect());
        for ((name, fast), exact) in fast.iter().flat_map(|fast| fast.parts().into_iter().zip(exact)) {
            // A rounding is 6e-8 of the largest number in a sum; sums of up to some hundred terms, whose errors four
            // steps pass on.
            let size = exact.iter().fold(1.0_f64, |size, x| size.max(x.abs()));
            for (place, (fast, exact)) in fast.iter().zip(exact).enumerate() {
                let error = (f64::from(*fast) - exact).abs();
                prop_assert!(error <= 1e-5 * size, "{} at {}: {} for {}", name, place, fast, exact);
            }
        }
    }

    #[test]
    fn paths_have_the_same_bits_in_any_batch(case in case(), path in 0..1000_usize) {
        let path = path % case.dims.batch;
        let alone = Case { dims: Dims { batch: 1, ..case.dims }, ..case.clone() };
        let layout = case.lstm().layout(case.shape.count);
        let weights = case.weights(layout.len());
        for (mut policy, together) in alone.fast(Isa::detect()).into_iter().zip(case.passes(Isa::detect())) {
            // The same weights and this path's inputs.
            let inputs = case.shape.count;
            let mut own: Vec<f32> = together.inputs.chunks(case.dims.batch * inputs)
                .flat_map(|row| row[path * inputs..][..inputs].to_vec()).collect();
            policy.forward(&weights, &mut own, alone.dims);
            let expected: Vec<f32> = together.positions.chunks(case.dims.batch).map(|row| row[path]).collect();
            prop_assert_eq!(policy.positions(), &expected);
        }
    }
}

#[test]
fn few_units_are_taken_across_paths_where_there_are_enough() {
    let taken = |hidden: u64, batch: usize| across_paths::is_faster(&Lstm { hidden, ..Lstm::default() }, batch);
    assert!(taken(8, 32) && taken(24, 16));
    assert!(!taken(32, 32) && !taken(8, 8));
}

#[test]
fn a_policy_forgets_the_last_batch() {
    let case = Case { hidden: 11, shape: FED_BACK, dims: Dims { batch: 5, time: 4 }, scope: Scope::All, seed: 3 };
    let larger = Case { dims: Dims { batch: 70, time: 6 }, seed: 4, ..case.clone() };
    let fresh = case.passes(Isa::detect());
    for (mut used, fresh) in case.fast(Isa::detect()).into_iter().zip(fresh) {
        larger.pass(used.as_mut());
        assert_eq!(case.pass(used.as_mut()), fresh);
    }
}
