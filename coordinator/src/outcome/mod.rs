//! What came out of a sweep: the question put to the tables, the answer written beside them, and shown.

mod convergence;
mod pooled;
mod show;

use std::collections::HashMap;
use std::path::PathBuf;

use analysis::{AnswerError, Question, Runs, Tune};
use engine::metrics::{Direction, catalogue};
use results::{COMPARISONS, CONVERGENCE, Comparison, Convergence, Location, POOLED, Pooled, Tables};
use sweep::plan::Plan;
use sweep::spec::Spec;

use crate::exit::{Exit, Failure, OrExit, Report};
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

/// Answers the sweep's question from its tables alone, and writes the answer beside them.
///
/// # Errors
/// If the tables cannot be read or the answer not be written.
pub fn analyse(location: &Location, spec: &Spec, plan: &Plan) -> Result<Outcome, Failure> {
    let tables = Tables::open(location)?;
    let question_of = spec.description.as_ref().map(|text| format!("{}\n\n", format::wrap(text, TEXT_WIDTH)));
    let mut text = question_of.unwrap_or_default();
    let mut files = Vec::new();
    let metrics = metrics(spec);
    let mut wanted: Vec<&str> = metrics.iter().map(|(name, _)| name.as_str()).collect();
    if let Some(tune) = spec.compare.as_ref().and_then(|compare| compare.tune.as_ref()) {
        wanted.push(&tune.by);
    }
    let references = analysis::reference_columns(metrics.iter().map(|(name, _)| name.as_str()));
    let runs = Runs::load(&tables, wanted.into_iter().chain(references.iter().map(String::as_str)))?;
    let Some(question) = question(spec, plan, metrics) else {
        tables.remove_comparisons()?;
        let blocks = analysis::ranking(&runs, &spec.metric.name, spec.metric.goal);
        let goal = show::Heading { metric: &spec.metric.name, direction: spec.metric.goal, tune: None };
        text.push_str(&show::blocks(&goal, &blocks));
        text.push_str(&sensitivities(&tables, &spec.metric.name)?);
        return Ok(Outcome { text, files });
    };
    let comparisons: Vec<Comparison> = analysis::compare(&runs, &question).or_exit(Exit::Internal)?;
    let convergence: Vec<Convergence> = analysis::convergence(&tables, &runs, &question).map_err(failure)?;
    let mut pooled: Vec<Pooled> = analysis::pooled(&tables, &runs, &question).map_err(failure)?;
    // By run, as the paper's tables are; the arms of a run stay in their order.
    let mut cells: HashMap<String, usize> = HashMap::new();
    for (place, row) in pooled.iter().enumerate() {
        cells.entry(row.cell.clone()).or_insert(place);
    }
    pooled.sort_by_key(|row| (cells[&row.cell], row.seed));
    tables.write_comparisons(&comparisons)?;
    files.push(location.path().join(COMPARISONS));
    let blocks = analysis::summarise(&comparisons, &question.metrics);
    for (metric, direction) in &question.metrics {
        let tune = spec.compare.as_ref().and_then(|compare| compare.tune.as_ref());
        let heading = show::Heading { metric, direction: *direction, tune };
        let of_metric: Vec<_> = blocks.iter().filter(|block| block.metric == *metric).cloned().collect();
        text.push_str(&show::blocks(&heading, &of_metric));
    }
    if !convergence.is_empty() {
        tables.write_convergence(&convergence)?;
        files.push(location.path().join(CONVERGENCE));
        text.push_str(&convergence::show(&convergence));
    } else {
        tables.remove_convergence()?;
    }
    if !pooled.is_empty() {
        tables.write_pooled(&pooled)?;
        files.push(location.path().join(POOLED));
        let times = Runs::load(&tables, ["time.simulate_s", "time.train_s"])?;
        text.push_str(&pooled::show(&pooled, &times, &spec.record));
    } else {
        tables.remove_pooled()?;
    }
    Ok(Outcome { text, files })
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
