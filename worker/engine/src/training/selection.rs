//! Which epoch's weights are kept, and when training ends early.

use super::{Keep, Training};

/// The weights of the best epoch so far.
pub(crate) struct Selection {
    keep: Keep,
    patience: Option<u64>,
    best: Option<Best>,
    last_epoch: u64,
}

struct Best {
    epoch: u64,
    loss: f64,
    weights: Vec<f32>,
}

impl Selection {
    /// Before the first epoch.
    pub(crate) fn new(training: &Training) -> Selection {
        Selection { keep: training.keep, patience: training.patience, best: None, last_epoch: 0 }
    }

    /// Whether every epoch is to be scored on the validation set.
    pub(crate) fn needs_every_epoch(&self) -> bool {
        self.keep == Keep::Best
    }

    /// Takes an epoch's weights and validation loss, where it has one; true if training should end.
    pub(crate) fn take(&mut self, epoch: u64, validation_loss: Option<f64>, weights: &[f32]) -> bool {
        self.last_epoch = epoch;
        if let Some(loss) = validation_loss
            && self.best.as_ref().is_none_or(|best| loss < best.loss)
        {
            let mut kept = self.best.take().map_or_else(Vec::new, |best| best.weights);
            kept.clear();
            kept.extend_from_slice(weights);
            self.best = Some(Best { epoch, loss, weights: kept });
        }
        let since = epoch - self.best.as_ref().map_or(0, |best| best.epoch);
        self.patience.is_some_and(|patience| since >= patience)
    }

    /// The number of the epoch whose weights are kept, and these weights: `last`, where it is the last one's.
    pub(crate) fn finish(self, last: &[f32]) -> (u64, Vec<f32>) {
        match self.best {
            Some(best) if self.keep == Keep::Best => (best.epoch, best.weights),
            _ => (self.last_epoch, last.to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(keep: Keep, patience: Option<u64>) -> Selection {
        Selection::new(&Training { keep, patience, ..Training::default() })
    }

    /// Feeds these validation losses; each epoch's weights are its number. Returns the epoch that it ended after.
    fn feed(selection: &mut Selection, losses: &[Option<f64>]) -> u64 {
        for (epoch, loss) in (1..).zip(losses) {
            if selection.take(epoch, *loss, &[epoch as f32]) {
                return epoch;
            }
        }
        losses.len() as u64
    }

    #[test]
    fn the_first_of_the_lowest_is_kept() {
        let mut best = selection(Keep::Best, None);
        assert_eq!(feed(&mut best, &[Some(3.0), Some(1.0), None, Some(1.0), Some(2.0)]), 5);
        assert_eq!(best.finish(&[5.0]), (2, vec![2.0]));
        let mut last = selection(Keep::Last, None);
        feed(&mut last, &[Some(1.0), Some(2.0)]);
        assert_eq!(last.finish(&[2.0]), (2, vec![2.0]));
    }

    #[test]
    fn patience_counts_from_the_best_epoch() {
        let mut patient = selection(Keep::Best, Some(2));
        assert_eq!(feed(&mut patient, &[3.0, 2.0, 2.5, 1.0, 1.0, 4.0, 0.0].map(Some)), 6);
        assert_eq!(patient.finish(&[6.0]), (4, vec![4.0]));
    }

    #[test]
    fn without_a_finite_loss_the_last_weights_are_kept() {
        let mut none = selection(Keep::Best, None);
        feed(&mut none, &[None, None]);
        assert_eq!(none.finish(&[2.0]), (2, vec![2.0]));
    }
}
