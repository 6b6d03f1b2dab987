//! What came out of a sweep: the question put to the tables, the answer written beside them, and shown.

mod convergence;
pub mod joint;
mod pooled;
mod show;

use std::collections::HashMap;
use std::path::PathBuf;

use analysis::{AnswerError, Question, Runs, Sources, Tune, Tuning};
use engine::metrics::{Direction, catalogue};
use engine::record::Record;
use results::{COMPARISONS, CONVERGENCE, Comparison, Convergence, Location, POOLED, Pooled, Tables, WITHIN, Within};
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

/// Answers the sweep's question from its tables alone, and writes the answer beside them, or where the tables are told to.
///
/// # Errors
/// If the tables cannot be read or the answer not be written.
pub fn analyse(location: &Location, spec: &Spec, plan: &Plan) -> Result<Outcome, Failure> {
    answer(&Tables::open(location)?, location, spec, plan)
}

/// The same from tables that are open; `location` is where their answers go.
///
/// # Errors
/// As [`analyse`].
pub fn answer(tables: &Tables, location: &Location, spec: &Spec, plan: &Plan) -> Result<Outcome, Failure> {
    let question_of = spec.description.as_ref().map(|text| format!("{}\n\n", format::wrap(text, TEXT_WIDTH)));
    let mut text = question_of.unwrap_or_default();
    let metrics = metrics(spec);
    let runs = Runs::load(tables, columns(spec, &metrics).iter().map(String::as_str))?;
    let Some(question) = question(spec, plan, metrics) else {
        tables.remove_comparisons()?;
        let blocks = analysis::ranking(&runs, &spec.metric.name, spec.metric.goal);
        let goal = show::Heading { metric: &spec.metric.name, direction: spec.metric.goal, tuning: None };
        text.push_str(&show::blocks(&goal, &blocks));
        text.push_str(&sensitivities(tables, &spec.metric.name)?);
        return Ok(Outcome { text, files: Vec::new() });
    };
    let tuning = Tuning::of(&runs, &question);
    let tabled = Tabled::of(&Sources::from(tables), &runs, &question).map_err(failure)?;
    let files = tabled.write(tables, location)?;
    let times = Runs::load(tables, ["time.simulate_s", "time.train_s"])?;
    text.push_str(&tabled.show(&question, tuning.as_ref(), &times, &spec.record));
    Ok(Outcome { text, files })
}

/// The answer to a question, table by table.
struct Tabled {
    comparisons: Vec<Comparison>,
    convergence: Vec<Convergence>,
    pooled: Vec<Pooled>,
    within: Vec<Within>,
}

impl Tabled {
    fn of(sources: &Sources<'_>, runs: &Runs, question: &Question) -> Result<Tabled, AnswerError> {
        let mut pooled: Vec<Pooled> = analysis::pooled(sources, runs, question)?;
        // By run, as the paper's tables are; the arms of a run stay in their order.
        let mut cells: HashMap<String, usize> = HashMap::new();
        for (place, row) in pooled.iter().enumerate() {
            cells.entry(row.cell.clone()).or_insert(place);
        }
        pooled.sort_by_key(|row| (cells[&row.cell], row.seed));
        Ok(Tabled {
            comparisons: analysis::compare(runs, question)?,
            convergence: analysis::convergence(sources, runs, question)?,
            pooled,
            within: analysis::within(sources, runs, question)?,
        })
    }

    /// Writes the tables that there is something for, and removes what an earlier answer has left of the others.
    fn write(&self, tables: &Tables, location: &Location) -> Result<Vec<PathBuf>, Failure> {
        tables.write_comparisons(&self.comparisons)?;
        let mut files = vec![COMPARISONS];
        match &self.convergence[..] {
            [] => tables.remove_convergence()?,
            rows => {
                tables.write_convergence(rows)?;
                files.push(CONVERGENCE);
            }
        }
        match &self.pooled[..] {
            [] => tables.remove_pooled()?,
            rows => {
                tables.write_pooled(rows)?;
                files.push(POOLED);
            }
        }
        match &self.within[..] {
            [] => tables.remove_within()?,
            rows => {
                tables.write_within(rows)?;
                files.push(WITHIN);
            }
        }
        Ok(files.into_iter().map(|name| location.path().join(name)).collect())
    }

    /// For a terminal. `times` are the runs with their seconds.
    fn show(&self, question: &Question, tuning: Option<&Tuning>, times: &Runs, record: &Record) -> String {
        let mut text = String::new();
        let blocks = analysis::summarise(&self.comparisons, &question.metrics);
        for (metric, direction) in &question.metrics {
            let heading = show::Heading { metric, direction: *direction, tuning };
            let of_metric: Vec<_> = blocks.iter().filter(|block| block.metric == *metric).cloned().collect();
            text.push_str(&show::blocks(&heading, &of_metric));
        }
        text.push_str(&convergence::show(&self.convergence));
        text.push_str(&pooled::show(&self.pooled, times, record));
        text
    }
}

/// The columns of runs that an answer about these metrics reads.
fn columns(spec: &Spec, metrics: &[(String, Direction)]) -> Vec<String> {
    let mut columns: Vec<String> = metrics.iter().map(|(name, _)| name.clone()).collect();
    columns.extend(spec.compare.iter().filter_map(|compare| compare.tune.as_ref()).map(|tune| tune.by.clone()));
    columns.extend(analysis::reference_columns(metrics.iter().map(|(name, _)| name.as_str())));
    columns
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
