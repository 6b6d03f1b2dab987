//! What training came to: the curves, and the metrics over the training paths.

use crate::RunConfig;
use crate::metrics::Metrics;
use crate::record::Epoch;
use crate::statistics::Moments;
use crate::trainer::StepReport;

/// The training paths of all epochs, pooled, and those of the epoch that is under way.
#[derive(Default)]
pub(crate) struct TrainingSummary {
    pnl: Moments,
    cost: Moments,
    epoch: EpochSummary,
}

#[derive(Default)]
struct EpochSummary {
    pnl: Vec<f32>,
    cost: Vec<f32>,
    batches: u32,
    loss: f64,
    grad_norm: f64,
    step_norm: f64,
    damping: Option<f64>,
    trust_ratio: Option<f64>,
    factor_condition: Option<f64>,
}

fn cleared(mut samples: Vec<f32>) -> Vec<f32> {
    samples.clear();
    samples
}

impl TrainingSummary {
    /// Takes one batch.
    pub(crate) fn take(&mut self, report: &StepReport, pnl: &[f32], cost: &[f32]) {
        let epoch = &mut self.epoch;
        epoch.pnl.extend_from_slice(pnl);
        epoch.cost.extend_from_slice(cost);
        epoch.batches += 1;
        epoch.loss += report.loss;
        epoch.grad_norm += report.grad_norm;
        epoch.step_norm += report.step_norm;
        epoch.damping = report.damping;
        epoch.trust_ratio = report.notes.trust_ratio.or(epoch.trust_ratio);
        let conditions = [epoch.factor_condition, report.notes.factor_condition];
        epoch.factor_condition = conditions.into_iter().flatten().reduce(f64::max);
    }

    /// The epoch's paths so far, in the order of training: P&L and cost.
    pub(crate) fn samples(&self) -> (&[f32], &[f32]) {
        (&self.epoch.pnl, &self.epoch.cost)
    }

    /// Ends the epoch, and makes its row of the curves: the means of its batches' losses and of the norms of their
    /// gradients and steps, the last damping and trust ratio, the worst condition number, and the statistics of its paths.
    pub(crate) fn end_epoch(&mut self, number: u32) -> Epoch {
        let moments = |values: &[f32]| Moments::over(values.iter().copied().map(f64::from));
        let (pnl, cost) = (moments(&self.epoch.pnl), moments(&self.epoch.cost));
        let batches = f64::from(self.epoch.batches);
        let epoch = std::mem::take(&mut self.epoch);
        // The next one's samples go where this one's were.
        self.epoch.pnl = cleared(epoch.pnl);
        self.epoch.cost = cleared(epoch.cost);
        self.pnl = self.pnl.merge(pnl);
        self.cost = self.cost.merge(cost);
        let finite = |number: f64| number.is_finite().then_some(number);
        Epoch {
            epoch: number,
            loss: finite(epoch.loss / batches),
            pnl_mean: finite(pnl.mean()),
            pnl_variance: finite(pnl.population_variance()),
            mean_cost: finite(cost.mean()),
            sharpe: finite(pnl.paper_sharpe()),
            grad_norm: finite(epoch.grad_norm / batches),
            damping: epoch.damping,
            step_norm: finite(epoch.step_norm / batches),
            trust_ratio: epoch.trust_ratio,
            factor_condition: epoch.factor_condition,
            validation_loss: None,
            seconds: None,
        }
    }

    /// Writes `train.*`.
    pub(crate) fn write_metrics(&self, config: &RunConfig, curves: &[Epoch], metrics: &mut Metrics) {
        metrics.set("train.pnl_variance", self.pnl.population_variance());
        metrics.set("train.mean_cost", self.cost.mean());
        metrics.set("train.sharpe", self.pnl.paper_sharpe());
        let losses: Vec<f64> = curves.iter().filter_map(|epoch| epoch.loss).collect();
        let last = &losses[losses.len().saturating_sub(10)..];
        metrics.set("train.loss_final", losses.last().copied().unwrap_or(f64::NAN));
        metrics.set("train.loss_last10", Moments::of(last).mean());
        metrics.set("train.epochs", curves.len() as f64);
        let reached = config.training.target_loss.and_then(|target| losses.iter().position(|loss| *loss <= target));
        if let Some(place) = reached {
            metrics.set("train.epochs_to_target", (place + 1) as f64);
        }
    }
}
