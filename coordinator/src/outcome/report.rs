//! The report beside the tables.

use std::path::PathBuf;

use analysis::report::{ReportData, Subject, gather, markdown, page};
use results::{Location, StoreError, Tables};

use super::{Answered, Inquiry};

const PAGE: &str = "report.html";
const MARKDOWN: &str = "report.md";

/// What the report says, of a sweep that has ended or is live.
pub(super) fn data(inquiry: &Inquiry<'_>, answered: &Answered, live: bool) -> Result<ReportData, StoreError> {
    let mut metrics = inquiry.metrics.clone();
    // The primary endpoint comes first, wherever the file has it.
    if let Some(place) = metrics.iter().position(|(name, _)| *name == inquiry.spec.metric.name) {
        metrics[..=place].rotate_right(1);
    }
    let subject = Subject {
        name: inquiry.name.clone(),
        description: inquiry.description.clone(),
        metrics,
        question: inquiry.question.as_ref(),
        record: inquiry.record.clone(),
        live,
        missing: inquiry.missing,
        files: inquiry.files.clone(),
    };
    gather(&inquiry.sources, &subject, answered.findings())
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
