//! What the networks of one seed do on the first test path.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;

use engine::RunId;
use engine::record::PathPoint;
use results::StoreError;

use super::Ids;
use crate::report::data::{Panel, Walk};
use crate::runs::Runs;
use crate::sources::Sources;

/// Reads the path of the first seed that all shown arms have, for the first cell.
pub(super) fn fill(
    sources: &Sources<'_>,
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
    let mut search = Search::default();
    for (group, rows) in rows.iter().enumerate() {
        let row = rows.iter().find(|row| runs.seed[**row] == seed);
        if let Some(id) = row.and_then(|row| ids.by_row.get(row)) {
            search.groups.entry(*id).or_default().push(group);
        }
    }
    sources.each_path(|run, batch, rows| {
        for group in search.come_to(run)? {
            let walk = panel.groups[*group].path.get_or_insert_with(|| Walk { seed, points: Vec::new() });
            walk.points.extend(rows.clone().map(|row| PathPoint {
                step: batch.step[row],
                price: batch.price[row],
                variance: batch.variance[row],
                position: batch.position[row],
            }));
        }
        ControlFlow::Continue(())
    })
}

/// The runs whose paths are shown, by groups, and those of them that were found.
#[derive(Default)]
struct Search {
    groups: HashMap<RunId, Vec<usize>>,
    found: HashSet<RunId>,
}

impl Search {
    /// The groups that show a run; breaks off at the first one behind all that are shown. A run may come in several pieces.
    fn come_to(&mut self, run: RunId) -> ControlFlow<(), &[usize]> {
        match self.groups.get(&run) {
            Some(groups) => {
                self.found.insert(run);
                ControlFlow::Continue(groups)
            }
            None if self.found.len() == self.groups.len() => ControlFlow::Break(()),
            None => ControlFlow::Continue(&[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_in_several_pieces_is_one_and_the_search_ends_behind_the_last() {
        let [first, second, other] = [1, 2, 3].map(|id| RunId([id; 16]));
        let mut search =
            Search { groups: HashMap::from([(first, vec![0, 2]), (second, vec![1])]), ..Search::default() };
        assert_eq!(search.come_to(first), ControlFlow::Continue(&[0, 2][..]));
        assert_eq!(search.come_to(first), ControlFlow::Continue(&[0, 2][..]), "its second piece");
        assert_eq!(search.come_to(other), ControlFlow::Continue(&[][..]), "one is still to come");
        assert_eq!(search.come_to(second), ControlFlow::Continue(&[1][..]));
        assert_eq!(search.come_to(second), ControlFlow::Continue(&[1][..]));
        assert_eq!(search.come_to(other), ControlFlow::Break(()));
    }
}
