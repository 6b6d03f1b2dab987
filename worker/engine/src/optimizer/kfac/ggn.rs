//! The exact Gauss–Newton matrix along one direction.

use nalgebra::DMatrix;

use super::block::Block;
use crate::kernel::{Strided, accumulate};
use crate::optimizer::Linearization;
use crate::real::Real;

/// The layers whose weights are trained, and the room that a look along a direction takes.
pub(super) struct Model<R> {
    layers: Vec<(Block, DMatrix<f64>)>,
    direction: Vec<R>,
    read: Vec<R>,
    said: Vec<R>,
    moved: Vec<f64>,
}

impl<R: Real> Model<R> {
    pub(super) fn new(blocks: Vec<Block>) -> Model<R> {
        let layers = blocks.into_iter().map(|block| (block.room(), block)).map(|(room, block)| (block, room));
        Model { layers: layers.collect(), direction: Vec::new(), read: Vec::new(), said: Vec::new(), moved: Vec::new() }
    }

    /// J·d: how each path's outcome moves, to first order, when the weights move by `change` (in their layout).
    ///
    /// For a layer y = Dā that is used at every point, J_n·d = Σ_t u_ntᵀ D ā_nt, with u the gradient of the path's outcome at
    /// y: exact, since u counts whatever happens later.
    pub(super) fn directional(&mut self, at: Linearization<'_, R>, change: &[f64]) -> &[f64] {
        let Model { layers, direction, read, said, moved } = self;
        let (batch, time) = (at.seen.dims.batch, at.seen.dims.time);
        moved.clear();
        moved.resize(batch, 0.0);
        for (block, columns) in layers {
            let (inputs, outputs) = (block.inputs(), block.outputs());
            block.change(change, columns);
            direction.clear();
            // A column an output; what is wanted is a row an input.
            let places = (0..inputs).flat_map(|row| (0..outputs).map(move |col| (row, col)));
            direction.extend(places.map(|at| R::from_f64(columns[at])));
            read.resize(batch * inputs, R::ZERO);
            said.resize(batch * outputs, R::ZERO);
            for t in 0..time {
                let reads = block.read(at.seen, t);
                read.chunks_exact_mut(inputs).enumerate().for_each(|(path, row)| reads.on(path, row));
                said.fill(R::ZERO);
                accumulate(said, Strided::rows(read, inputs), direction, [batch, inputs, outputs]);
                let (tangents, stride) = block.signals(at.tangents);
                let tangents = tangents[t * batch * stride..].chunks_exact(stride).map(|row| &row[..outputs]);
                for ((moved, said), tangent) in moved.iter_mut().zip(said.chunks_exact(outputs)).zip(tangents) {
                    *moved += said.iter().zip(tangent).map(|(y, u)| y.to_f64() * u.to_f64()).sum::<f64>();
                }
            }
        }
        moved
    }
}
