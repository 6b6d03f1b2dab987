//! One path of the test set: its price and variance, and the positions that each arm's network takes on it.

use engine::record::PathPoint;

use super::super::data::{Group, Panel, ReportData, Walk};
use super::super::frame::{Key, Layout};
use super::super::number::significant;
use super::super::palette::Look;
use super::super::scale::Scale;
use super::super::table::Table;
use super::{Drawing, Figure, NARROW, caption, cell_heading, group_name};

/// One kind of number along a path.
type Pick = fn(&PathPoint) -> f64;

pub(super) fn positions(data: &ReportData) -> Option<Figure> {
    let panel = data.panels.iter().find(|panel| panel.groups.iter().any(|group| group.path.is_some()))?;
    let walks: Vec<(&Group, &Walk)> =
        panel.groups.iter().filter_map(|group| Some((group, group.path.as_ref()?))).collect();
    let (_, first) = walks.first()?;
    let same = walks
        .iter()
        .all(|(_, walk)| walk.points.iter().map(|point| point.price).eq(first.points.iter().map(|point| point.price)));
    let label = "The first test path: positions of each arm, price and variance";
    let draw = |whole: f64| -> Option<String> {
        let mut all = String::new();
        let keys = |(group, _): &(&Group, &Walk)| Key {
            look: Look::of(data.look_of(&group.arm)),
            name: group_name(group),
            points: false,
        };
        let on_path: Vec<(Key, &Walk)> = walks.iter().map(|walk| (keys(walk), walk.1)).collect();
        all.push_str(&strip(
            &on_path,
            "position, in units of the underlying",
            "",
            |point| point.position,
            whole,
            label,
        )?);
        let own = if same { &on_path[..1] } else { &on_path[..] };
        all.push_str(&strip(own, "price", "", |point| point.price, whole, label)?);
        all.push_str(&strip(own, "variance, per year", "step", |point| point.variance, whole, label)?);
        Some(all)
    };
    let drawing = Drawing { heading: cell_heading(&panel.cell), wide: draw(super::WIDE)?, narrow: draw(NARROW)? };
    let seed = first.seed;
    Some(Figure {
        id: "path".into(),
        title: "One test path".into(),
        caption: caption([
            &format!(
                "The first path of the test set, and what the networks of seed {seed} hold on it from each step on."
            ),
            if same {
                "All arms see the same path."
            } else {
                "The arms' test paths differ here: each has its own price and variance."
            },
        ]),
        drawings: vec![drawing],
        numbers: numbers(panel),
    })
}

/// A plot of one kind of number along the path.
fn strip(walks: &[(Key, &Walk)], title: &str, x_title: &str, pick: Pick, whole: f64, label: &str) -> Option<String> {
    let points = || walks.iter().flat_map(|(_, walk)| &walk.points);
    let layout = Layout {
        width: whole,
        height: if x_title.is_empty() && walks.len() > 1 { 150.0 } else { 84.0 },
        x_title,
        y_title: title,
        x: Scale::linear(points().map(|point| f64::from(point.step)))?,
        y: Scale::linear(points().map(pick))?.with_room(0.05),
        x_ticks: None,
        left: 58.0,
        right: 10.0,
        keys: walks.iter().map(|(key, _)| key.clone()).collect(),
    };
    let (mut svg, frame) = layout.draw();
    for (key, walk) in walks {
        let line =
            walk.points.iter().map(|point| Some((frame.x.place(f64::from(point.step))?, frame.y.place(pick(point))?)));
        svg.curve(line, key.look, if walks.len() > 1 { "curve thin" } else { "curve thin ink" });
    }
    Some(svg.finish(&format!("{label}: {title}")))
}

/// Every step of the path.
fn numbers(panel: &Panel) -> Table {
    let mut table = Table::new(["arm", "#step", "#price", "#variance", "#position"]);
    for group in &panel.groups {
        for point in group.path.iter().flat_map(|walk| &walk.points) {
            let numbers = [point.price, point.variance, point.position].map(significant);
            table.push([group.arm.clone(), point.step.to_string()].into_iter().chain(numbers).collect());
        }
    }
    table
}
