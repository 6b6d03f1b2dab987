//! Which of many rows are looked at first.

use std::collections::HashMap;

use engine::metrics::Direction;
use results::Comparison;

/// The rows if there are no more than `most`, else of each cell's arms the most favourable variants, equally many: at least one
/// each as long as there is room. In their order.
pub(super) fn shortlist<'a>(rows: &[&'a Comparison], direction: Direction, most: usize) -> Vec<&'a Comparison> {
    if rows.len() <= most {
        return rows.to_vec();
    }
    let mut groups: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    for (place, row) in rows.iter().enumerate() {
        groups.entry((&row.cell, &row.arm)).or_default().push(place);
    }
    let each = (most / groups.len()).max(1);
    let cost = |place: &usize| match (rows[*place].diff, direction) {
        (None, _) => f64::INFINITY,
        (Some(diff), Direction::Maximize) => -diff,
        (Some(diff), _) => diff,
    };
    let mut chosen: Vec<usize> = Vec::new();
    for mut places in groups.into_values() {
        // Of equals the first: the sort is stable.
        places.sort_by(|left, right| cost(left).total_cmp(&cost(right)));
        chosen.extend(places.into_iter().take(each));
    }
    chosen.sort_unstable();
    chosen.truncate(most);
    chosen.into_iter().map(|place| rows[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cell: &str, arm: &str, diff: f64) -> Comparison {
        Comparison { cell: cell.into(), arm: arm.into(), diff: Some(diff), ..Comparison::default() }
    }

    #[test]
    fn each_cell_and_arm_has_its_best_and_few_rows_are_all_shown() {
        let all: Vec<Comparison> = ["c", "d"]
            .into_iter()
            .flat_map(|cell| (0..5).map(move |place| row(cell, "kfac", f64::from((place * 3) % 5))))
            .chain([row("d", "sgd", 9.0), Comparison { diff: None, ..row("d", "sgd", 0.0) }])
            .collect();
        let rows: Vec<&Comparison> = all.iter().collect();
        let diffs = |direction, most| -> Vec<Option<f64>> {
            shortlist(&rows, direction, most).into_iter().map(|row| row.diff).collect()
        };
        assert_eq!(diffs(Direction::Minimize, 12).len(), 12);
        let best = [0.0, 1.0, 0.0, 1.0, 9.0].map(Some);
        assert_eq!(diffs(Direction::Minimize, 8), [&best[..], &[None]].concat());
        assert_eq!(diffs(Direction::Maximize, 3), [4.0, 4.0, 9.0].map(Some));
        assert_eq!(diffs(Direction::Minimize, 2), [0.0, 0.0].map(Some));
        assert!(shortlist(&[], Direction::Minimize, 2).is_empty());
    }
}
