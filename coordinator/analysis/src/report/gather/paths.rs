//! What the networks of one seed do on the first test path.

use std::collections::{BTreeSet, HashMap};

use engine::RunId;
use engine::record::PathPoint;
use results::{StoreError, Tables};

use super::Ids;
use crate::report::data::{Panel, Walk};
use crate::runs::Runs;

/// Reads the path of the first seed that all shown arms have, for the first cell.
pub(super) fn fill(
    tables: &Tables,
    runs: &Runs,
    ids: &Ids,
    panels: &mut [Panel],
    wanted: &[Vec<Vec<usize>>],
) -> Result<(), StoreError> {
    let (Some(panel), Some(rows)) = (panels.first_mut(), wanted.first()) else { return Ok(()) };
    // A run that did not end well has no path: its seed has no value either.
    let seeds = panel.groups.iter().map(|group| group.values.iter().map(|(seed, _)| *seed).collect::<BTreeSet<u64>>());
    let Some(common) = seeds.filter(|seeds| !seeds.is_empty()).reduce(|left, right| &left & &right) else {
        return Ok(());
    };
    let Some(seed) = common.first().copied() else { return Ok(()) };
    let mut of_run: HashMap<RunId, Vec<usize>> = HashMap::new();
    for (group, rows) in rows.iter().enumerate() {
        let row = rows.iter().find(|row| runs.seed[**row] == seed);
        if let Some(id) = row.and_then(|row| ids.by_row.get(row)) {
            of_run.entry(*id).or_default().push(group);
        }
    }
    let Some(batches) = tables.paths()? else { return Ok(()) };
    let mut left = of_run.len();
    for batch in batches {
        let batch = batch?;
        let groups: Vec<Option<(RunId, &Vec<usize>)>> = batch
            .run_id
            .distinct
            .iter()
            .map(|word| word.parse().ok().and_then(|id: RunId| Some((id, of_run.get(&id)?))))
            .collect();
        let found = groups.iter().flatten().count();
        if left == 0 && found == 0 {
            // All are read, to their ends.
            break;
        }
        left = left.saturating_sub(found);
        for row in 0..batch.step.len() {
            let Some((_, groups)) = batch.run_id.codes[row].and_then(|code| groups[code as usize]) else { continue };
            let point = PathPoint {
                step: batch.step[row],
                price: batch.price[row],
                variance: batch.variance[row],
                position: batch.position[row],
            };
            for group in groups {
                let walk = panel.groups[*group].path.get_or_insert_with(|| Walk { seed, points: Vec::new() });
                walk.points.push(point);
            }
        }
    }
    Ok(())
}
