//! Quantiles over seeds, epoch by epoch.

use std::collections::BTreeMap;

use results::StoreError;

use super::Ids;
use crate::report::data::{Band, Curves, Panel};
use crate::report::quantile::five;
use crate::sources::Sources;

/// At most about twice as many epochs are kept of a curve: a figure has no more pixels.
const MOST_EPOCHS: usize = 256;

/// The values of one kind, by epoch.
#[derive(Clone, Debug, Default)]
struct Values(BTreeMap<u32, Vec<f32>>);

/// A group's curves while they are read.
#[derive(Clone, Debug, Default)]
struct Gathered {
    loss: Values,
    validation: Values,
    pnl: Values,
    cost: Values,
}

/// Which epochs are kept: the first and every so many after it.
#[derive(Clone, Copy, Debug)]
struct Stride(u32);

impl Stride {
    fn keeps(self, epoch: u32) -> bool {
        epoch.saturating_sub(1).is_multiple_of(self.0)
    }
}

/// Reads the curves of the shown runs into the panels; nothing if none were recorded.
pub(super) fn fill(
    sources: &Sources<'_>,
    ids: &Ids,
    panels: &mut [Panel],
    wanted: &[Vec<Vec<usize>>],
) -> Result<(), StoreError> {
    let mut gathered: Vec<Vec<Gathered>> =
        panels.iter().map(|panel| vec![Gathered::default(); panel.groups.len()]).collect();
    let mut stride = Stride(1);
    sources.each_training(|run, batch, rows| {
        for (panel, group) in ids.places(run) {
            for row in rows.clone().filter(|row| stride.keeps(batch.epoch[*row])) {
                let epoch = batch.epoch[row];
                let group = &mut gathered[*panel][*group];
                group.loss.push(epoch, batch.loss[row]);
                group.validation.push(epoch, batch.validation_loss[row]);
                group.pnl.push(epoch, batch.pnl_mean[row]);
                group.cost.push(epoch, batch.mean_cost[row]);
            }
            if gathered[*panel][*group].loss.0.len() > 2 * MOST_EPOCHS {
                stride.0 *= 2;
                gathered.iter_mut().flatten().for_each(|group| group.thin(stride));
            }
        }
    })?;
    for (panel, (groups, wanted)) in panels.iter_mut().zip(gathered.into_iter().zip(wanted)) {
        for (group, (gathered, rows)) in panel.groups.iter_mut().zip(groups.into_iter().zip(wanted)) {
            let seeds = gathered.loss.0.values().map(Vec::len).max().unwrap_or(0) as u64;
            let validation = gathered.validation.band();
            let curves = Curves {
                loss: gathered.loss.band(),
                // One epoch alone is the run's metric, and no curve.
                validation: if validation.epochs.len() > 1 { validation } else { Band::default() },
                pnl: gathered.pnl.band(),
                cost: gathered.cost.band(),
                seeds,
                of: if rows.len() > super::MOST_SEEDS { rows.len() as u64 } else { seeds },
            };
            group.curves = (seeds > 0).then_some(curves);
        }
    }
    Ok(())
}

impl Gathered {
    fn thin(&mut self, stride: Stride) {
        for values in [&mut self.loss, &mut self.validation, &mut self.pnl, &mut self.cost] {
            values.0.retain(|epoch, _| stride.keeps(*epoch));
        }
    }
}

impl Values {
    fn push(&mut self, epoch: u32, value: f64) {
        if value.is_finite() {
            self.0.entry(epoch).or_default().push(value as f32);
        }
    }

    fn band(self) -> Band {
        let mut band = Band::default();
        for (epoch, values) in self.0 {
            let mut values: Vec<f64> = values.into_iter().map(f64::from).collect();
            values.sort_by(f64::total_cmp);
            if let Some(quantiles) = five(&values) {
                band.epochs.push(epoch);
                band.quantiles.push(quantiles);
            }
        }
        band
    }
}
