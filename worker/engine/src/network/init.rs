//! Initial weights.

use super::layout::{Layout, Start, TensorSpec};
use super::{InitialWeights, WeightsError};
use crate::kernel::dot;
use crate::random::{Purpose, Stream};

/// The weights that a seed stands for: each tensor from a stream of its own.
pub fn draw_weights(layout: &Layout, seed: u64) -> Vec<f64> {
    let mut weights = vec![0.0; layout.len()];
    for (index, spec) in (0..).zip(layout.tensors()) {
        let stream = Stream::new(Purpose::Weights, seed, index);
        let out = &mut weights[spec.range.clone()];
        match spec.start {
            Start::Zeros => {}
            Start::XavierUniform => xavier_uniform(spec, stream, out),
            Start::Orthogonal => orthogonal(spec, stream, out),
        }
    }
    weights
}

/// The weights of a file.
///
/// # Errors
/// If a tensor is missing or has another shape.
pub fn read_weights(layout: &Layout, file: &InitialWeights) -> Result<Vec<f64>, WeightsError> {
    let mut weights = Vec::with_capacity(layout.len());
    for spec in layout.tensors() {
        weights.extend(file.tensor(spec.name, &spec.shape)?.iter().copied().map(f64::from));
    }
    Ok(weights)
}

fn xavier_uniform(spec: &TensorSpec, mut stream: Stream, out: &mut [f64]) {
    let bound = (6.0 / (spec.shape[0] + spec.shape[1]) as f64).sqrt();
    out.fill_with(|| bound * (2.0 * stream.uniform() - 1.0));
}

/// Gram–Schmidt on a Gaussian matrix, by rows or columns, whichever are shorter in number: Q of its QR decomposition
/// with a positive diagonal of R, which makes it uniformly distributed (as `torch.nn.init.orthogonal_`).
fn orthogonal(spec: &TensorSpec, mut stream: Stream, out: &mut [f64]) {
    let (rows, cols) = (spec.shape[0], spec.shape[1]);
    let (count, length) = (rows.min(cols), rows.max(cols));
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(count);
    for _ in 0..count {
        let mut vector: Vec<f64> = (0..length).map(|_| stream.normal()).collect();
        // Once is not enough in floats, twice is (Kahan, in Parlett 1980).
        for _ in 0..2 {
            for earlier in &basis {
                let along = dot(&vector, earlier);
                vector.iter_mut().zip(earlier).for_each(|(x, e)| *x -= along * e);
            }
        }
        let norm = dot(&vector, &vector).sqrt();
        vector.iter_mut().for_each(|x| *x /= norm);
        basis.push(vector);
    }
    for row in 0..rows {
        for col in 0..cols {
            out[row * cols + col] = if rows >= cols { basis[col][row] } else { basis[row][col] };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(rows: usize, cols: usize) -> Layout {
        let specs: [(&str, &[usize], Start); 3] = [
            ("a", &[rows, cols], Start::XavierUniform),
            ("b", &[rows, cols], Start::Orthogonal),
            ("c", &[rows], Start::Zeros),
        ];
        Layout::new(&specs, 2)
    }

    #[test]
    fn the_shorter_side_is_orthonormal() {
        for (rows, cols) in [(128, 32), (5, 9), (4, 4)] {
            let layout = layout(rows, cols);
            let weights = draw_weights(&layout, 3);
            let matrix = &weights[layout.tensors()[1].range.clone()];
            let entry = |vector: usize, place: usize| {
                if rows >= cols { matrix[place * cols + vector] } else { matrix[vector * cols + place] }
            };
            for i in 0..rows.min(cols) {
                for j in 0..=i {
                    let product: f64 = (0..rows.max(cols)).map(|place| entry(i, place) * entry(j, place)).sum();
                    let expected = f64::from(u8::from(i == j));
                    assert!((product - expected).abs() < 1e-13);
                }
            }
        }
    }

    #[test]
    fn xavier_fills_its_interval_and_biases_are_zero() {
        let layout = layout(128, 32);
        let weights = draw_weights(&layout, 3);
        let bound = (6.0_f64 / 160.0).sqrt();
        let uniform = &weights[layout.tensors()[0].range.clone()];
        assert!(uniform.iter().all(|w| w.abs() < bound));
        let variance = uniform.iter().map(|w| w * w).sum::<f64>() / uniform.len() as f64;
        // The relative standard error of a uniform's mean square is √(4/5)/√n.
        assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 4.0 * 0.9 / (uniform.len() as f64).sqrt());
        assert!(weights[layout.tensors()[2].range.clone()].iter().all(|w| *w == 0.0));
    }

    #[test]
    fn the_seed_decides() {
        let layout = layout(8, 3);
        assert_eq!(draw_weights(&layout, 1), draw_weights(&layout, 1));
        assert_ne!(draw_weights(&layout, 1), draw_weights(&layout, 2));
    }
}
