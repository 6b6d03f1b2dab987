//! The exact Gauss–Newton matrix along one direction.

use super::block::Block;
use crate::kernel::{Strided, accumulate};
use crate::optimizer::Linearization;
use crate::real::Real;

/// J·d: how each path's outcome moves, to first order, when the weights move by `change` (in their layout).
///
/// For a layer y = Dā that is used at every point, J_n·d = Σ_t u_ntᵀ D ā_nt, with u the gradient of the path's outcome at
/// y: exact, since u counts whatever happens later.
pub(super) fn directional<R: Real>(blocks: &[Block], at: Linearization<'_, R>, change: &[f64]) -> Vec<f64> {
    let (batch, time) = (at.seen.dims.batch, at.seen.dims.time);
    let mut moved = vec![0.0; batch];
    for block in blocks {
        let (inputs, outputs) = (block.inputs(), block.outputs());
        let direction: Vec<R> = {
            // A column an output; what is wanted is a row an input.
            let columns = block.change(change);
            (0..inputs)
                .flat_map(|row| (0..outputs).map(move |col| (row, col)))
                .map(|at| R::from_f64(columns[at]))
                .collect()
        };
        let mut read = vec![R::ZERO; batch * inputs];
        let mut said = vec![R::ZERO; batch * outputs];
        for t in 0..time {
            read.chunks_exact_mut(inputs).enumerate().for_each(|(path, row)| block.read_inputs(at.seen, t, path, row));
            said.fill(R::ZERO);
            accumulate(&mut said, Strided::rows(&read, inputs), &direction, [batch, inputs, outputs]);
            let (tangents, stride) = block.signals(at.tangents);
            let tangents = tangents[t * batch * stride..].chunks_exact(stride).map(|row| &row[..outputs]);
            for ((moved, said), tangent) in moved.iter_mut().zip(said.chunks_exact(outputs)).zip(tangents) {
                *moved += said.iter().zip(tangent).map(|(y, u)| y.to_f64() * u.to_f64()).sum::<f64>();
            }
        }
    }
    moved
}
