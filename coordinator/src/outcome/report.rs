//! The report beside the tables.

use std::path::PathBuf;

use analysis::report::{ReportData, Subject, gather, markdown, page};
use results::{Location, StoreError, Tables};
use sweep::spec::Spec;

use super::Answered;

const PAGE: &str = "report.html";
const MARKDOWN: &str = "report.md";

/// What the report says. `text` is the sweep file.
pub(super) fn data(
    tables: &Tables,
    spec: &Spec,
    answered: &Answered,
    missing: u64,
    text: Option<String>,
) -> Result<ReportData, StoreError> {
    let mut metrics = answered.metrics.clone();
    // The primary endpoint comes first, wherever the file has it.
    if let Some(place) = metrics.iter().position(|(name, _)| *name == spec.metric.name) {
        metrics[..=place].rotate_right(1);
    }
    let subject = Subject {
        name: spec.name.clone(),
        description: spec.description.clone(),
        metrics,
        question: answered.question.as_ref(),
        record: spec.record.clone(),
        missing,
        file: text,
    };
    gather(tables, &subject, answered.findings())
}

/// Writes the page and its Markdown.
pub(super) fn write(tables: &Tables, location: &Location, data: &ReportData) -> Result<Vec<PathBuf>, StoreError> {
    tables.write_text(PAGE, page(data))?;
    tables.write_text(MARKDOWN, markdown(data))?;
    Ok([PAGE, MARKDOWN].map(|name| location.join(name)).to_vec())
}

/// Removes a page and its Markdown that speak of an earlier answer.
pub(super) fn remove(tables: &Tables) -> Result<(), StoreError> {
    [PAGE, MARKDOWN].into_iter().try_for_each(|name| tables.remove_text(name))
}
