//! The LSTM against PyTorch and against difference quotients.

use super::*;
use crate::golden::{self, assert_close, assert_gradient};

/// The golden batch's dimensions.
const DIMS: Dims = Dims { batch: 6, time: 9 };
const INPUTS: usize = 3;

fn lstm() -> Lstm {
    Lstm { hidden: 5, ..Lstm::default() }
}

/// Positions, and the gradients of Σ `d_positions`·δ with respect to weights and inputs.
fn passes<R: Real>(scope: Scope) -> [Vec<f64>; 3] {
    let golden = golden::engine();
    let real = |name: &str| golden.numbers(name).into_iter().map(R::from_f64).collect::<Vec<R>>();
    let (weights, inputs) = (real("net.weights"), real("net.inputs"));
    let mut policy = LstmPolicy::<R>::new(&lstm(), INPUTS);
    policy.forward(&weights, &inputs, DIMS);
    let d_positions = d_positions().into_iter().map(R::from_f64).collect::<Vec<R>>();
    let mut d_weights = vec![R::ONE; weights.len()];
    let mut d_inputs = vec![R::ZERO; inputs.len()];
    let out = Gradient { weights: &mut d_weights, inputs: Some(&mut d_inputs) };
    policy.backward(&weights, &inputs, &d_positions, scope, out);
    [policy.positions(), &d_weights, &d_inputs].map(|values| values.iter().map(|x| x.to_f64()).collect())
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
    let [positions, ..] = passes::<f32>(Scope::All);
    assert_close(&positions, &expected, 1e-5);
}

#[test]
fn gradients_are_difference_quotients() {
    let golden = golden::engine();
    let (weights, inputs) = (golden.numbers("net.weights"), golden.numbers("net.inputs"));
    let mut policy = LstmPolicy::<f64>::new(&lstm(), INPUTS);
    let mut value = |weights: &[f64], inputs: &[f64]| -> f64 {
        policy.forward(weights, inputs, DIMS);
        policy.positions().iter().zip(d_positions()).map(|(y, d)| y * d).sum()
    };
    let [_, d_weights, d_inputs] = passes::<f64>(Scope::All);
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
    assert_gradient(|inputs| value(&weights, inputs), &inputs, &d_inputs, 1e-5, 1e-8);
}

#[test]
fn single_precision_gradients_follow() {
    let [_, d_weights, d_inputs] = passes::<f64>(Scope::All);
    let [_, single_weights, single_inputs] = passes::<f32>(Scope::All);
    for spec in lstm().layout(INPUTS).tensors() {
        assert_close(&single_weights[spec.range.clone()], &d_weights[spec.range.clone()], 1e-5);
    }
    assert_close(&single_inputs, &d_inputs, 1e-5);
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
    let [_, all, _] = passes::<f32>(Scope::All);
    let [_, head, _] = passes::<f32>(Scope::Head);
    let layout = lstm().layout(INPUTS);
    assert_eq!(all[layout.head()], head[layout.head()]);
    assert!(head[layout.body()].iter().all(|d| *d == 0.0));
}

#[test]
fn a_path_does_not_feel_its_neighbours() {
    let golden = golden::engine();
    let weights: Vec<f32> = golden.numbers("net.weights").into_iter().map(|w| w as f32).collect();
    let inputs: Vec<f32> = golden.numbers("net.inputs").into_iter().map(|x| x as f32).collect();
    let mut policy = LstmPolicy::<f32>::new(&lstm(), INPUTS);
    policy.forward(&weights, &inputs, DIMS);
    let together: Vec<f32> = policy.positions().chunks(DIMS.batch).map(|row| row[4]).collect();
    let alone: Vec<f32> =
        inputs.chunks(DIMS.batch * INPUTS).flat_map(|row| row[4 * INPUTS..5 * INPUTS].to_vec()).collect();
    policy.forward(&weights, &alone, Dims { batch: 1, time: DIMS.time });
    assert_eq!(together, policy.positions());
}
