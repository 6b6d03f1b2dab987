//! Several sweeps put to one question, side by side.

use std::fmt::Write as _;

use analysis::report::number::list;
use analysis::{Question, Sources};
use engine::metrics::Direction;
use engine::record::Record;
use results::{Footer, Location, Tables};
use sweep::plan::Plan;
use sweep::spec::Spec;

use super::{Inquiry, Outcome, metrics, question};
use crate::exit::{Exit, Failure, OrExit};

/// One of the sweeps.
pub struct Side {
    /// What its arms are called by: the sweep's name, or its folder where two have one name.
    pub label: String,
    /// Its results.
    pub tables: Tables,
    /// What its file says.
    pub spec: Spec,
    /// The runs that it asks for.
    pub plan: Plan,
    /// Its file.
    pub text: String,
}

/// Answers the question that all of these sweeps ask from their tables alone: their arms as `sweep/arm`, all against the first
/// one's baseline, seeds that both have paired within cells of one name. The answer and its report are written only where `out`
/// says.
///
/// # Errors
/// With [`Exit::Usage`] if the sweeps ask different questions; else as [`super::analyse`].
pub fn analyse(sides: &[Side], out: Option<&Location>) -> Result<Outcome, Failure> {
    let first = &sides[0];
    for other in &sides[1..] {
        same_question(first, other)?;
    }
    let inquiry = inquiry(sides);
    let Some(location) = out else { return inquiry.answer(None) };
    // Answers are written by way of tables; these are only for their place.
    let tables = Tables::open(first.tables.location())?.answering_at(location, joint_footer(sides))?;
    inquiry.answer(Some((&tables, location)))
}

fn inquiry(sides: &[Side]) -> Inquiry<'_> {
    let first = &sides[0];
    let labels: Vec<String> = sides.iter().map(|side| side.label.clone()).collect();
    let metrics = metrics(&first.spec);
    let common = Some(&first.spec.description)
        .filter(|description| sides.iter().all(|side| side.spec.description == **description));
    let description = common.and_then(Option::as_ref).map_or_else(String::new, |description| format!(" {description}"));
    Inquiry {
        name: labels.join(" + "),
        description: Some(format!("{} side by side.{description}", list(&labels, labels.len()))),
        sources: Sources::side_by_side(sides.iter().map(|side| (side.label.as_str(), &side.tables))),
        spec: &first.spec,
        question: joint_question(sides, metrics.clone()),
        metrics,
        record: Record {
            curves: sides.iter().any(|side| side.spec.record.curves),
            samples: sides.iter().find_map(|side| side.spec.record.samples.clone()),
        },
        missing: sides.iter().map(|side| side.plan.len().saturating_sub(side.tables.rows() as u64)).sum(),
        files: sides.iter().map(|side| (side.label.clone(), side.text.clone())).collect(),
    }
}

/// The first sweep's question, asked of all arms of all sweeps.
fn joint_question(sides: &[Side], metrics: Vec<(String, Direction)>) -> Option<Question> {
    let first = &sides[0];
    let arms = sides.iter().flat_map(|side| side.plan.arms().iter().map(|arm| format!("{}/{arm}", side.label)));
    let own = question(&first.spec, &first.plan, metrics)?;
    Some(Question { baseline_arm: format!("{}/{}", first.label, own.baseline_arm), arms: arms.collect(), ..own })
}

/// That two sweeps ask the same, or else what differs.
fn same_question(first: &Side, other: &Side) -> Result<(), Failure> {
    let mut differing = String::new();
    for ((key, left), (_, right)) in asked(first).into_iter().zip(asked(other)) {
        if left != right {
            let _ = write!(differing, "\n  {key}: {left} in {}, {right} in {}", first.label, other.label);
        }
    }
    if differing.is_empty() {
        return Ok(());
    }
    let error = anyhow::anyhow!(
        "{} and {} ask different questions, which have no common answer:{differing}\n  \
         the question is read from the sweep.yaml in each folder, and may be changed there",
        first.label,
        other.label
    );
    Err(error).or_exit(Exit::Usage)
}

/// Everything that makes the question, key by key, as text.
fn asked(side: &Side) -> [(&'static str, String); 5] {
    let Side { spec, plan, .. } = side;
    let none = || "none".to_owned();
    let goal = if spec.metric.goal == Direction::Maximize { "maximize" } else { "minimize" };
    let compare = spec.compare.as_ref();
    let baseline = plan.baseline().filter(|_| compare.is_some()).map(|(arm, variant)| {
        let name = &plan.arms()[arm as usize];
        variant.map_or_else(|| name.clone(), |variant| format!("{name} {}", plan.variant_label(arm, variant)))
    });
    let tune = compare.and_then(|compare| compare.tune.as_ref());
    let seeds = tune.map(|tune| {
        let seeds: Vec<String> = spec.seeds.iter().take(tune.seeds as usize).map(|seed| seed.to_string()).collect();
        seeds.join(" ")
    });
    [
        ("metric", format!("{} ({goal})", spec.metric.name)),
        ("compare.baseline", baseline.unwrap_or_else(none)),
        ("compare.metrics", compare.map_or_else(none, |compare| compare.metrics.join(", "))),
        ("compare.tune.by", tune.map_or_else(none, |tune| tune.by.clone())),
        ("compare.tune.seeds", seeds.unwrap_or_else(none)),
    ]
}

/// The footer of tables that are of several sweeps.
fn joint_footer(sides: &[Side]) -> Footer {
    let footers: Vec<&Footer> = sides.iter().map(|side| side.tables.footer()).collect();
    let joined = |of: fn(&Footer) -> &str| footers.iter().map(|footer| of(footer)).collect::<Vec<_>>().join("+");
    Footer { sweep: joined(|footer| &footer.sweep), hash: joined(|footer| &footer.hash), ..footers[0].clone() }
}
