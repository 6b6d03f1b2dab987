//! The report: a sweep's answer as a page, as Markdown, and as one sentence.
//!
//! [`gather`] makes a [`ReportData`] from the tables in bounded memory; everything else is a pure function of that. So the sweep's
//! end, a later comparison and the dashboard of a running sweep all say the same.

pub mod data;
mod figures;
mod frame;
mod gather;
mod markdown;
pub mod number;
mod page;
mod palette;
mod quantile;
mod scale;
mod sentence;
mod shortlist;
mod svg;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod text;
mod ticks;

pub use data::{Counts, Failures, Metric, Paper, ReportData};
pub use gather::{Findings, Subject, gather};
pub use markdown::markdown;
pub use page::{body, document, page};
pub use sentence::{Answer, Asked, answer, ranking_answer};

/// The answer to the primary endpoint.
pub fn headline(data: &ReportData) -> Answer {
    let answer = match data.baseline {
        None => ranking_answer(data.primary(), &data.ranking),
        Some(_) => answer_to(data, data.primary()),
    };
    let counts = &data.counts;
    if counts.missing == 0 { answer } else { answer.so_far(counts.runs, counts.runs + counts.missing) }
}

/// The answer to one of the metrics of a comparison.
pub fn answer_to(data: &ReportData, metric: &Metric) -> Answer {
    answer(&Asked { metric, tuning: data.tuning.as_ref() }, &data.comparisons)
}
