//! What came out of a sweep: the question put to the tables, the answer written beside them, and shown.

mod convergence;
mod pooled;
mod report;
mod show;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use analysis::report::{Findings, ReportData};
use analysis::{AnswerError, Question, Runs, Tune};
use engine::metrics::{Direction, catalogue};
use results::{COMPARISONS, CONVERGENCE, Location, POOLED, StoreError, Tables};
use sweep::plan::Plan;
use sweep::spec::Spec;

use crate::exit::{Exit, Failure, Report};
use crate::format;

/// Lines of text are at most this long.
const TEXT_WIDTH: usize = 100;

/// What came out of a sweep.
pub struct Outcome {
    /// For a terminal.
    pub text: String,
    /// The tables that were written.
    pub files: Vec<PathBuf>,
}

/// Answers the sweep's question from its tables alone, and writes the answer beside them, with a report.
///
/// # Errors
/// If the tables cannot be read or the answer not be written. A report that cannot be made is a warning.
pub fn analyse(location: &Location, spec: &Spec, plan: &Plan, text: &str) -> Result<Outcome, Failure> {
    let tables = Tables::open(location)?;
    let answered = answer(&tables, spec, plan).map_err(failure)?;
    let mut files = write(&tables, location, &answered.findings)?;
    let shown = show(&tables, spec, &answered)?;
    let missing = plan.len().saturating_sub(tables.rows() as u64);
    // Even a fault in its drawing must not lose what is known without it.
    let report = catch_unwind(AssertUnwindSafe(|| {
        let data = report::data(&tables, spec, &answered, missing, Some(text.to_owned()))?;
        Ok::<_, StoreError>((report::write(&tables, location, &data)?, data))
    }));
    let sentence = match report {
        Ok(Ok((paths, data))) => {
            files.extend(paths);
            format!("{}\n\n", format::wrap(&analysis::report::headline(&data).paragraph(), TEXT_WIDTH))
        }
        Ok(Err(error)) => without_report(&error),
        Err(_) => without_report(&"an internal error"),
    };
    let question = spec.description.as_ref().map(|text| format!("{}\n\n", format::wrap(text, TEXT_WIDTH)));
    Ok(Outcome { text: format!("{}{shown}{sentence}", question.unwrap_or_default()), files })
}

/// Says that there is no report; there is no sentence either, then.
fn without_report(error: &dyn std::fmt::Display) -> String {
    eprintln!("warning: the report could not be made: {error}; the tables are complete");
    String::new()
}

/// What a report says of the tables of a sweep that may still run; nothing is written.
///
/// # Errors
/// If the tables cannot be read or the question has no answer.
pub fn report_of(tables: &Tables, spec: &Spec, plan: &Plan) -> Result<ReportData, AnswerError> {
    let answered = answer(tables, spec, plan)?;
    let missing = plan.len().saturating_sub(tables.rows() as u64);
    Ok(report::data(tables, spec, &answered, missing, None)?)
}

/// The question, if there is one, and what was found.
struct Answered {
    metrics: Vec<(String, Direction)>,
    question: Option<Question>,
    findings: Findings,
}

fn answer(tables: &Tables, spec: &Spec, plan: &Plan) -> Result<Answered, AnswerError> {
    let metrics = metrics(spec);
    let mut wanted: Vec<&str> = metrics.iter().map(|(name, _)| name.as_str()).collect();
    if let Some(tune) = spec.compare.as_ref().and_then(|compare| compare.tune.as_ref()) {
        wanted.push(&tune.by);
    }
    let references = analysis::reference_columns(metrics.iter().map(|(name, _)| name.as_str()));
    let runs = Runs::load(tables, wanted.into_iter().chain(references.iter().map(String::as_str)))?;
    let Some(question) = question(spec, plan, metrics.clone()) else {
        let ranking = analysis::ranking(&runs, &spec.metric.name, spec.metric.goal);
        return Ok(Answered { metrics, question: None, findings: Findings { ranking, ..Findings::default() } });
    };
    let comparisons = analysis::compare(&runs, &question)?;
    let convergence = analysis::convergence(tables, &runs, &question)?;
    let mut pooled = analysis::pooled(tables, &runs, &question)?;
    // By run, as the paper's tables are; the arms of a run stay in their order.
    let mut cells: HashMap<String, usize> = HashMap::new();
    for (place, row) in pooled.iter().enumerate() {
        cells.entry(row.cell.clone()).or_insert(place);
    }
    pooled.sort_by_key(|row| (cells[&row.cell], row.seed));
    let findings = Findings { comparisons, convergence, pooled, ranking: Vec::new() };
    Ok(Answered { metrics, question: Some(question), findings })
}

/// Writes what was found beside the tables, and removes what an earlier version of the sweep has left there.
fn write(tables: &Tables, location: &Location, findings: &Findings) -> Result<Vec<PathBuf>, StoreError> {
    if findings.comparisons.is_empty() && !findings.ranking.is_empty() {
        tables.remove_comparisons()?;
        return Ok(Vec::new());
    }
    tables.write_comparisons(&findings.comparisons)?;
    let mut files = vec![location.path().join(COMPARISONS)];
    if findings.convergence.is_empty() {
        tables.remove_convergence()?;
    } else {
        tables.write_convergence(&findings.convergence)?;
        files.push(location.path().join(CONVERGENCE));
    }
    if findings.pooled.is_empty() {
        tables.remove_pooled()?;
    } else {
        tables.write_pooled(&findings.pooled)?;
        files.push(location.path().join(POOLED));
    }
    Ok(files)
}

/// What was found, as a terminal shows it.
fn show(tables: &Tables, spec: &Spec, answered: &Answered) -> Result<String, Failure> {
    let findings = &answered.findings;
    let mut text = String::new();
    if answered.question.is_none() {
        let goal = show::Heading { metric: &spec.metric.name, direction: spec.metric.goal, tune: None };
        text.push_str(&show::blocks(&goal, &findings.ranking));
        text.push_str(&sensitivities(tables, &spec.metric.name)?);
        return Ok(text);
    }
    let blocks = analysis::summarise(&findings.comparisons, &answered.metrics);
    for (metric, direction) in &answered.metrics {
        let tune = spec.compare.as_ref().and_then(|compare| compare.tune.as_ref());
        let heading = show::Heading { metric, direction: *direction, tune };
        let of_metric: Vec<_> = blocks.iter().filter(|block| block.metric == *metric).cloned().collect();
        text.push_str(&show::blocks(&heading, &of_metric));
    }
    if !findings.convergence.is_empty() {
        text.push_str(&convergence::show(&findings.convergence));
    }
    if !findings.pooled.is_empty() {
        let times = Runs::load(tables, ["time.simulate_s", "time.train_s"])?;
        text.push_str(&pooled::show(&findings.pooled, &times, &spec.record));
    }
    Ok(text)
}

/// What each swept parameter does to the primary endpoint, to costs and to turnover.
fn sensitivities(tables: &Tables, endpoint: &str) -> Result<String, Failure> {
    let others = ["test.mean_cost", "test.turnover"].into_iter().filter(|name| *name != endpoint);
    let metrics: Vec<String> = std::iter::once(endpoint).chain(others).map(str::to_owned).collect();
    let runs = Runs::load(tables, metrics.iter().map(String::as_str))?;
    let mut all = Vec::new();
    for parameter in tables.swept() {
        all.extend(analysis::sensitivity(&runs, &parameter, &tables.words(&parameter)?, &metrics));
    }
    Ok(show::sensitivities(&all, &metrics))
}

fn failure(error: AnswerError) -> Failure {
    match error {
        AnswerError::Store(error) => error.into(),
        other => Failure { exit: Exit::Internal, report: Report::Error(other.into()) },
    }
}

/// The metrics that the answer is about, the primary endpoint with the goal that the file gives it.
fn metrics(spec: &Spec) -> Vec<(String, Direction)> {
    let names = match &spec.compare {
        Some(compare) => compare.metrics.clone(),
        None => vec![spec.metric.name.clone()],
    };
    names
        .into_iter()
        .map(|name| {
            let direction = direction(spec, &name);
            (name, direction)
        })
        .collect()
}

fn direction(spec: &Spec, name: &str) -> Direction {
    if name == spec.metric.name {
        return spec.metric.goal;
    }
    let known = catalogue().iter().find(|metric| metric.name == name);
    known.map_or(Direction::Neutral, |metric| metric.direction)
}

/// The sweep's question; `None` for one that compares nothing.
fn question(spec: &Spec, plan: &Plan, metrics: Vec<(String, Direction)>) -> Option<Question> {
    let compare = spec.compare.as_ref()?;
    let (arm, variant) = plan.baseline()?;
    Some(Question {
        baseline_arm: plan.arms()[arm as usize].clone(),
        baseline_variant: variant.map(|variant| plan.variant_label(arm, variant).to_owned()),
        metrics,
        tune: compare.tune.as_ref().map(|tune| Tune {
            seeds: spec.seeds.iter().take(tune.seeds as usize).collect(),
            by: tune.by.clone(),
            direction: direction(spec, &tune.by),
        }),
        arms: plan.arms().to_vec(),
    })
}
