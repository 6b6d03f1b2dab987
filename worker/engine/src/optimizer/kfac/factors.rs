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
    /// The first factor that holds something that is not finite.
    pub(super) fn check(&self, block: &Block) -> Result<(), SingularFactor> {
        // By Cauchy and Schwarz no entry is larger than the larger of its row's and its column's on the diagonal.
        let finite = |factor: &DMatrix<f64>| factor.diagonal().iter().all(|entry| entry.is_finite());
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

/// How factors are made of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statistics {
    pub(super) sharing: Sharing,
    pub(super) precision: Precision,
}

impl Statistics {
    /// A of a batch.
    pub(super) fn inputs<R: Real>(&self, block: &Block, seen: Seen<'_, R>) -> DMatrix<f64> {
        let (batch, time) = (seen.dims.batch, seen.dims.time);
        let mut sum = OuterSum::new(block.inputs(), self.precision);
        match self.sharing {
            Sharing::Expand => {
                for t in 0..time {
                    (0..batch).for_each(|path| block.read_inputs(seen, t, path, sum.row()));
                }
                sum.finish(1.0 / (batch * time) as f64)
            }
            Sharing::Reduce => {
                let share = R::from_f64(1.0 / time as f64);
                let mut read = vec![R::ZERO; block.inputs()];
                let mut means = vec![R::ZERO; batch * block.inputs()];
                for t in 0..time {
                    for (path, mean) in means.chunks_exact_mut(block.inputs()).enumerate() {
                        block.read_inputs(seen, t, path, &mut read);
                        mean.iter_mut().zip(&read).for_each(|(sum, x)| *sum += *x);
                    }
                }
                means.iter_mut().for_each(|mean| *mean *= share);
                means.chunks_exact(block.inputs()).for_each(|mean| sum.row().copy_from_slice(mean));
                sum.finish(1.0 / batch as f64)
            }
        }
    }

    /// G of a batch, a group of outputs at a time.
    pub(super) fn outputs<R: Real>(
        &self,
        block: &Block,
        [batch, time]: [usize; 2],
        cotangents: Cotangents<'_, R>,
    ) -> Vec<DMatrix<f64>> {
        let rows = match self.sharing {
            Sharing::Expand => batch * time,
            Sharing::Reduce => batch,
        };
        let (signals, roots, scale) = match cotangents {
            Cotangents::Loss(signals, GradientScale::BatchMean) => (signals, None, 1.0 / rows as f64),
            Cotangents::Loss(signals, GradientScale::PerExample) => (signals, None, batch as f64),
            // A variance weighs all paths alike.
            Cotangents::Outcomes(signals, [weight, rest @ ..]) if rest.iter().all(|other| other == weight) => {
                (signals, None, *weight)
            }
            Cotangents::Outcomes(signals, weights) => {
                (signals, Some(weights.iter().map(|c| R::from_f64(c.sqrt())).collect::<Vec<R>>()), 1.0)
            }
        };
        let (width, count) = block.groups();
        let (rows, stride) = block.signals(signals);
        debug_assert_eq!(rows.len(), batch * time * stride, "the signals were asked for");
        let of_group = |group: usize| {
            let lines = Lines { rows, stride, first: group * width, width };
            self.group_sum(lines, batch, roots.as_deref()).finish(scale)
        };
        (0..count).map(of_group).collect()
    }

    /// Σ g gᵀ over some columns of the signals, the paths weighted by the squares of `roots`.
    fn group_sum<R: Real>(&self, lines: Lines<'_, R>, batch: usize, roots: Option<&[R]>) -> OuterSum<R> {
        let mut sum = OuterSum::new(lines.width, self.precision);
        let root = |path: usize| roots.map_or(R::ONE, |roots| roots[path]);
        match (self.sharing, roots) {
            (Sharing::Expand, None) => sum.take(lines.rows, lines.stride, lines.first),
            (Sharing::Expand, Some(_)) => {
                for (path, line) in (0..batch).cycle().zip(lines.each()) {
                    sum.row().iter_mut().zip(line).for_each(|(x, g)| *x = root(path) * *g);
                }
            }
            (Sharing::Reduce, _) => {
                let mut over_time = vec![R::ZERO; batch * lines.width];
                for (path, line) in (0..batch).cycle().zip(lines.each()) {
                    let total = &mut over_time[path * lines.width..][..lines.width];
                    total.iter_mut().zip(line).for_each(|(x, g)| *x += *g);
                }
                for (path, total) in over_time.chunks_exact(lines.width).enumerate() {
                    sum.row().iter_mut().zip(total).for_each(|(x, g)| *x = root(path) * *g);
                }
            }
        }
        sum
    }
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
#[derive(Clone, Debug, Default)]
pub(super) struct RunningFactors {
    /// (1 − β) Σ_s β^{t−s} F_s; nothing before the first batch.
    sum: Option<Factors>,
    /// βᵗ after t batches.
    power: f64,
}

impl RunningFactors {
    /// Takes a batch's factors: S ← βS + (1 − β)F.
    pub(super) fn take(&mut self, fresh: Factors, decay: f64) {
        // Without memory the last batch's factors are taken as they are, to the bit.
        let Some(sum) = self.sum.as_mut().filter(|_| decay > 0.0) else {
            self.power = decay;
            self.sum = Some(scaled(fresh, 1.0 - decay));
            return;
        };
        self.power *= decay;
        let mix = |sum: &mut DMatrix<f64>, fresh: &DMatrix<f64>| {
            sum.iter_mut().zip(fresh.iter()).for_each(|(sum, fresh)| *sum = decay * *sum + (1.0 - decay) * fresh);
        };
        mix(&mut sum.inputs, &fresh.inputs);
        sum.outputs.iter_mut().zip(&fresh.outputs).for_each(|(sum, fresh)| mix(sum, fresh));
    }

    /// The mean, corrected for its start from zero: S/(1 − βᵗ). Nothing before the first batch.
    pub(super) fn mean(&self) -> Option<Factors> {
        self.sum.clone().map(|sum| if self.power > 0.0 { scaled(sum, 1.0 / (1.0 - self.power)) } else { sum })
    }
}

fn scaled(factors: Factors, scale: f64) -> Factors {
    if scale == 1.0 {
        return factors;
    }
    Factors {
        inputs: factors.inputs * scale,
        outputs: factors.outputs.into_iter().map(|factor| factor * scale).collect(),
    }
}
