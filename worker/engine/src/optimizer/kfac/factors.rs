//! The curvature factors of a layer: a batch's, and their running means.

use nalgebra::DMatrix;

use super::block::Block;
use super::moments::{OuterSum, Precision};
use super::{GradientScale, Sharing};
use crate::optimizer::{Seen, Signals, SingularFactor};
use crate::real::Real;

/// Of what the curvature consists, undamped: F ≈ A ⊗ G.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Factors {
    /// A: \[K, K\].
    pub(super) inputs: DMatrix<f64>,
    /// G, one or one a gate.
    pub(super) outputs: Vec<DMatrix<f64>>,
}

impl Factors {
    /// Room for a layer's factors.
    pub(super) fn room_for(block: &Block) -> Factors {
        let (width, count) = block.groups();
        Factors {
            inputs: DMatrix::zeros(block.inputs(), block.inputs()),
            outputs: vec![DMatrix::zeros(width, width); count],
        }
    }

    fn each(&self) -> impl Iterator<Item = &DMatrix<f64>> {
        std::iter::once(&self.inputs).chain(&self.outputs)
    }

    fn each_mut(&mut self) -> impl Iterator<Item = &mut DMatrix<f64>> {
        std::iter::once(&mut self.inputs).chain(&mut self.outputs)
    }

    /// Every entry becomes what `of` makes of it and of the other factors' one.
    fn mix(&mut self, other: &Factors, of: impl Fn(f64, f64) -> f64) {
        for (factor, other) in self.each_mut().zip(other.each()) {
            factor.iter_mut().zip(other.iter()).for_each(|(entry, other)| *entry = of(*entry, *other));
        }
    }

    /// The first factor that holds something that is not finite.
    pub(super) fn check(&self, block: &Block) -> Result<(), SingularFactor> {
        // By Cauchy and Schwarz no entry is larger than the larger of its row's and its column's on the diagonal.
        let finite = |factor: &DMatrix<f64>| (0..factor.nrows()).all(|place| factor[(place, place)].is_finite());
        if !finite(&self.inputs) {
            return Err(SingularFactor { factor: block.input_name() });
        }
        match self.outputs.iter().position(|factor| !finite(factor)) {
            Some(group) => Err(SingularFactor { factor: block.output_name(group) }),
            None => Ok(()),
        }
    }
}

/// What the output factors are made of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cotangents<'a, R> {
    /// The gradients ĝ of the batch-mean loss, for the empirical Fisher matrix.
    Loss(Signals<'a, R>, GradientScale),
    /// The gradients u of each path's outcome with the weights c of the loss's Hessian in it, for the Gauss–Newton
    /// matrix: G = Σ_n c_n Σ_t u uᵀ.
    Outcomes(Signals<'a, R>, &'a [f64]),
}

/// What makes a layer's factors of a batch, with the room that it needs.
pub(super) struct Statistics<R> {
    sharing: Sharing,
    inputs: OuterSum<R>,
    outputs: OuterSum<R>,
    /// Sums over time for every path, and one path's row.
    over_time: Vec<R>,
    row: Vec<R>,
    /// The square roots of the paths' weights.
    roots: Vec<R>,
    /// What the head reads at the last point.
    last: DMatrix<f64>,
}

impl<R: Real> Statistics<R> {
    pub(super) fn new(block: &Block, sharing: Sharing, precision: Precision) -> Statistics<R> {
        Statistics {
            sharing,
            inputs: OuterSum::new(block.inputs(), precision),
            outputs: OuterSum::new(block.groups().0, precision),
            over_time: Vec::new(),
            row: Vec::new(),
            roots: Vec::new(),
            last: DMatrix::zeros(block.inputs(), block.inputs()),
        }
    }

    /// A of a batch.
    pub(super) fn inputs(&mut self, block: &Block, seen: Seen<'_, R>, out: &mut DMatrix<f64>) {
        let (batch, time) = (seen.dims.batch, seen.dims.time);
        match self.sharing {
            Sharing::Expand => {
                (0..time).for_each(|t| self.read(block, seen, t));
                self.inputs.finish(1.0 / (batch * time) as f64, out);
            }
            Sharing::Reduce => {
                let share = R::from_f64(1.0 / time as f64);
                begin(&mut self.row, block.inputs());
                begin(&mut self.over_time, batch * block.inputs());
                for t in 0..time {
                    let read = block.read(seen, t);
                    for (path, sum) in self.over_time.chunks_exact_mut(block.inputs()).enumerate() {
                        read.on(path, &mut self.row);
                        sum.iter_mut().zip(&self.row).for_each(|(sum, x)| *sum += *x);
                    }
                }
                for sum in self.over_time.chunks_exact(block.inputs()) {
                    self.inputs.row().iter_mut().zip(sum).for_each(|(mean, sum)| *mean = *sum * share);
                }
                self.inputs.finish(1.0 / batch as f64, out);
            }
        }
    }

    /// A of a batch for the head, where every point is an example of its own, from that of the recurrent layer: what the
    /// head reads at a point is what the recurrent layer reads as states at the next, so that the last point's are all that
    /// are missing there.
    pub(super) fn head_inputs(
        &mut self,
        head: &Block,
        seen: Seen<'_, R>,
        of_recurrent: &DMatrix<f64>,
        out: &mut DMatrix<f64>,
    ) {
        let (batch, time, states) = (seen.dims.batch, seen.dims.time, head.weights());
        self.read(head, seen, time - 1);
        self.inputs.finish(1.0 / (batch * time) as f64, &mut self.last);
        let first = of_recurrent.nrows() - out.nrows();
        for col in 0..out.ncols() {
            for row in 0..out.nrows() {
                let one_by_one = row == states && col == states;
                let last = if one_by_one { 0.0 } else { self.last[(row, col)] };
                out[(row, col)] = of_recurrent[(first + row, first + col)] + last;
            }
        }
    }

    /// Takes in what a layer reads at a point.
    fn read(&mut self, block: &Block, seen: Seen<'_, R>, time: usize) {
        let read = block.read(seen, time);
        (0..seen.dims.batch).for_each(|path| read.on(path, self.inputs.row()));
    }

    /// G of a batch, a group of outputs at a time.
    pub(super) fn outputs(
        &mut self,
        block: &Block,
        [batch, time]: [usize; 2],
        cotangents: Cotangents<'_, R>,
        out: &mut [DMatrix<f64>],
    ) {
        let rows = match self.sharing {
            Sharing::Expand => batch * time,
            Sharing::Reduce => batch,
        };
        self.roots.clear();
        let (signals, scale) = match cotangents {
            Cotangents::Loss(signals, GradientScale::BatchMean) => (signals, 1.0 / rows as f64),
            Cotangents::Loss(signals, GradientScale::PerExample) => (signals, batch as f64),
            // A variance weighs all paths alike.
            Cotangents::Outcomes(signals, [weight, rest @ ..]) if rest.iter().all(|other| other == weight) => {
                (signals, *weight)
            }
            Cotangents::Outcomes(signals, weights) => {
                self.roots.extend(weights.iter().map(|c| R::from_f64(c.sqrt())));
                (signals, 1.0)
            }
        };
        let (width, _) = block.groups();
        let (rows, stride) = block.signals(signals);
        debug_assert_eq!(rows.len(), batch * time * stride, "the signals were asked for");
        for (group, out) in out.iter_mut().enumerate() {
            self.add_group(Lines { rows, stride, first: group * width, width }, batch);
            self.outputs.finish(scale, out);
        }
    }

    /// Adds up g gᵀ over some columns of the signals, the paths weighted by the squares of their roots, or alike.
    fn add_group(&mut self, lines: Lines<'_, R>, batch: usize) {
        let Statistics { sharing, outputs, over_time, roots, .. } = self;
        let root = |path: usize| roots.get(path).copied().unwrap_or(R::ONE);
        match sharing {
            Sharing::Expand if roots.is_empty() => outputs.take(lines.rows, lines.stride, lines.first),
            Sharing::Expand => {
                for (path, line) in (0..batch).cycle().zip(lines.each()) {
                    outputs.row().iter_mut().zip(line).for_each(|(x, g)| *x = root(path) * *g);
                }
            }
            Sharing::Reduce => {
                begin(over_time, batch * lines.width);
                for (path, line) in (0..batch).cycle().zip(lines.each()) {
                    let total = &mut over_time[path * lines.width..][..lines.width];
                    total.iter_mut().zip(line).for_each(|(x, g)| *x += *g);
                }
                for (path, total) in over_time.chunks_exact(lines.width).enumerate() {
                    outputs.row().iter_mut().zip(total).for_each(|(x, g)| *x = root(path) * *g);
                }
            }
        }
    }
}

/// So many zeros.
fn begin<R: Real>(numbers: &mut Vec<R>, count: usize) {
    numbers.clear();
    numbers.resize(count, R::ZERO);
}

/// Some columns of time-major rows.
#[derive(Clone, Copy)]
struct Lines<'a, R> {
    rows: &'a [R],
    stride: usize,
    first: usize,
    width: usize,
}

impl<'a, R> Lines<'a, R> {
    fn each(self) -> impl Iterator<Item = &'a [R]> {
        self.rows.chunks_exact(self.stride).map(move |row| &row[self.first..][..self.width])
    }
}

/// The exponential running mean of a layer's factors.
#[derive(Clone, Debug)]
pub(super) struct RunningFactors {
    /// (1 − β) Σ_s β^{t−s} F_s.
    sum: Factors,
    /// βᵗ after t batches.
    power: f64,
}

impl RunningFactors {
    /// Of no batch yet.
    pub(super) fn of(block: &Block) -> RunningFactors {
        RunningFactors { sum: Factors::room_for(block), power: 1.0 }
    }

    /// Takes a batch's factors: S ← βS + (1 − β)F.
    pub(super) fn take(&mut self, fresh: &Factors, decay: f64) {
        if self.power < 1.0 && decay > 0.0 {
            self.power *= decay;
            self.sum.mix(fresh, |sum, fresh| decay * sum + (1.0 - decay) * fresh);
        } else {
            // Without memory the last batch's factors are taken as they are, to the bit.
            self.power = decay;
            self.sum.mix(fresh, |_, fresh| (1.0 - decay) * fresh);
        }
    }

    /// Writes the mean, corrected for its start from zero: S/(1 − βᵗ). There has been a batch.
    pub(super) fn mean(&self, out: &mut Factors) {
        let scale = 1.0 / (1.0 - self.power);
        out.mix(&self.sum, |_, sum| sum * scale);
    }
}
