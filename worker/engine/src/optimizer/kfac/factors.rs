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
        let finite = |factor: &DMatrix<f64>| factor.iter().all(|entry| entry.is_finite());
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
        let stride = sum.stride();
        let mut rows = vec![R::ZERO; batch * stride];
        match self.sharing {
            Sharing::Expand => {
                for t in 0..time {
                    block.read_inputs(seen, t, stride, &mut rows);
                    sum.push(&rows);
                }
                sum.finish() / (batch * time) as f64
            }
            Sharing::Reduce => {
                let mut means = vec![R::ZERO; batch * stride];
                for t in 0..time {
                    block.read_inputs(seen, t, stride, &mut rows);
                    means.iter_mut().zip(&rows).for_each(|(sum, x)| *sum += *x);
                }
                let share = R::from_f64(1.0 / time as f64);
                means.iter_mut().for_each(|mean| *mean *= share);
                sum.push(&means);
                sum.finish() / batch as f64
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
        let (signals, roots) = match cotangents {
            Cotangents::Loss(signals, _) => (signals, None),
            Cotangents::Outcomes(signals, weights) => {
                (signals, Some(weights.iter().map(|c| R::from_f64(c.sqrt())).collect::<Vec<R>>()))
            }
        };
        let scaled = |sum: DMatrix<f64>| match cotangents {
            Cotangents::Loss(_, GradientScale::BatchMean) => sum / rows as f64,
            Cotangents::Loss(_, GradientScale::PerExample) => sum * batch as f64,
            Cotangents::Outcomes(..) => sum,
        };
        let (width, count) = block.groups();
        (0..count)
            .map(|group| {
                let at = |t: usize| block.signals(signals, batch, t);
                scaled(self.group_sum(at, [block.outputs(), group * width, width], [batch, time], roots.as_deref()))
            })
            .collect()
    }

    /// Σ g gᵀ over some columns of the signals, the paths weighted by the squares of `roots`.
    fn group_sum<'a, R: Real>(
        &self,
        signals: impl Fn(usize) -> &'a [R],
        [outputs, first, width]: [usize; 3],
        [batch, time]: [usize; 2],
        roots: Option<&[R]>,
    ) -> DMatrix<f64> {
        let mut sum = OuterSum::new(width, self.precision);
        let stride = sum.stride();
        let mut rows = vec![R::ZERO; batch * stride];
        for t in 0..time {
            let lines = signals(t).chunks_exact(outputs).map(|line| &line[first..first + width]);
            for (path, (row, line)) in rows.chunks_exact_mut(stride).zip(lines).enumerate() {
                let row = &mut row[..width];
                let root = roots.map(|roots| roots[path]);
                match (self.sharing, root) {
                    (Sharing::Expand, None) => row.copy_from_slice(line),
                    (Sharing::Expand, Some(root)) => row.iter_mut().zip(line).for_each(|(x, g)| *x = root * *g),
                    (Sharing::Reduce, None) => row.iter_mut().zip(line).for_each(|(x, g)| *x += *g),
                    (Sharing::Reduce, Some(root)) => row.iter_mut().zip(line).for_each(|(x, g)| *x += root * *g),
                }
            }
            if self.sharing == Sharing::Expand {
                sum.push(&rows);
            }
        }
        if self.sharing == Sharing::Reduce {
            sum.push(&rows);
        }
        sum.finish()
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
