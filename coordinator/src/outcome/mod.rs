//! What came out of a sweep: the question put to the tables, the answer written beside them, and shown.

mod convergence;
pub mod joint;
mod pooled;
mod report;
mod show;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use analysis::report::{Findings, ReportData};
use analysis::{AnswerError, Block, Question, Runs, Sources, Tune, Tuning};
use engine::metrics::{Direction, catalogue};
use engine::record::Record;
use results::{
    COMPARISONS, CONVERGENCE, Comparison, Convergence, Location, POOLED, Pooled, StoreError, Tables, WITHIN, Within,
};
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

/// Answers the sweep's question from its tables alone, and writes the answer beside them, with a report. `text` is the
/// sweep file.
///
/// # Errors
/// If the tables cannot be read or the answer not be written. A report that cannot be made is a warning.
pub fn analyse(location: &Location, spec: &Spec, plan: &Plan, text: &str) -> Result<Outcome, Failure> {
    answer(&Tables::open(location)?, location, spec, plan, text)
}

/// The same from tables that are open; `location` is where their answers go.
///
/// # Errors
/// As [`analyse`].
pub fn answer(tables: &Tables, location: &Location, spec: &Spec, plan: &Plan, text: &str) -> Result<Outcome, Failure> {
    let files = vec![(spec.name.clone(), text.to_owned())];
    Inquiry { files, ..Inquiry::of_sweep(tables, spec, plan) }.answer(Some((tables, location)))
}

/// What a report says of the tables of a sweep that may still run; nothing is written.
///
/// # Errors
/// If the tables cannot be read or the question has no answer.
pub fn report_of(tables: &Tables, spec: &Spec, plan: &Plan) -> Result<ReportData, AnswerError> {
    let inquiry = Inquiry::of_sweep(tables, spec, plan);
    let answered = Answered::of(&inquiry, Depth::Seeds)?;
    Ok(report::data(&inquiry, &answered, true)?)
}

/// What is to be answered, from which tables.
struct Inquiry<'a> {
    /// What it is called.
    name: String,
    /// What it is about, in words.
    description: Option<String>,
    sources: Sources<'a>,
    /// What the sweep file says; of several sweeps the first one's, which ask the same.
    spec: &'a Spec,
    /// What the answer is about, as the file lists it.
    metrics: Vec<(String, Direction)>,
    question: Option<Question>,
    /// What was recorded.
    record: Record,
    /// Runs of the plan of which nothing is stored.
    missing: u64,
    /// The sweep files, each with what it is called by.
    files: Vec<(String, String)>,
}

impl<'a> Inquiry<'a> {
    /// What one sweep asks of its own tables, without its file.
    fn of_sweep(tables: &'a Tables, spec: &'a Spec, plan: &Plan) -> Inquiry<'a> {
        let metrics = metrics(spec);
        Inquiry {
            name: spec.name.clone(),
            description: spec.description.clone(),
            sources: Sources::from(tables),
            spec,
            question: question(spec, plan, metrics.clone()),
            metrics,
            record: spec.record.clone(),
            missing: plan.len().saturating_sub(tables.rows() as u64),
            files: Vec::new(),
        }
    }

    /// The answer, written beside or by way of these tables if there are any.
    fn answer(&self, place: Option<(&Tables, &Location)>) -> Result<Outcome, Failure> {
        let answered = Answered::of(self, Depth::Paths).map_err(failure)?;
        let mut files = match (&answered.tabled, place) {
            (_, None) => Vec::new(),
            (Some(tabled), Some((tables, location))) => tabled.write(tables, location)?,
            (None, Some((tables, _))) => {
                tables.remove_comparisons()?;
                Vec::new()
            }
        };
        let shown = answered.show(self)?;
        // Even a fault in its drawing must not lose what is known without it.
        let report = catch_unwind(AssertUnwindSafe(|| {
            let data = report::data(self, &answered, false)?;
            let paths = match place {
                Some((tables, location)) => report::write(tables, location, &data)?,
                None => Vec::new(),
            };
            Ok::<_, StoreError>((paths, data))
        }));
        let sentence = match report {
            Ok(Ok((paths, data))) => {
                files.extend(paths);
                format!("{}\n\n", format::wrap(&analysis::report::headline(&data).paragraph(), TEXT_WIDTH))
            }
            // Out of reach for now: whoever asked may try again.
            Ok(Err(error @ StoreError::Unreachable { .. })) => return Err(error.into()),
            Ok(Err(error)) => without_report(place, &error),
            Err(_) => without_report(place, &"an internal error"),
        };
        let question = self.description.as_ref().map(|text| format!("{}\n\n", format::wrap(text, TEXT_WIDTH)));
        Ok(Outcome { text: format!("{}{shown}{sentence}", question.unwrap_or_default()), files })
    }
}

/// Says that there is no report, and leaves none that says what was true before; there is no sentence either, then.
fn without_report(place: Option<(&Tables, &Location)>, error: &dyn std::fmt::Display) -> String {
    eprintln!("warning: the report could not be made: {error}; the tables are complete");
    if let Some(Err(error)) = place.map(|(tables, _)| report::remove(tables)) {
        eprintln!("warning: an earlier report could not be removed: {error}");
    }
    String::new()
}

/// How far an answer looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    /// At the seeds, which is what a report shows.
    Seeds,
    /// At the paths within a seed, too.
    Paths,
}

/// What was found.
struct Answered {
    tuning: Option<Tuning>,
    /// Where there is a question.
    tabled: Option<Tabled>,
    /// Where there is none.
    ranking: Vec<Block>,
}

impl Answered {
    fn of(inquiry: &Inquiry<'_>, depth: Depth) -> Result<Answered, AnswerError> {
        let Inquiry { sources, spec, metrics, question, .. } = inquiry;
        let runs = sources.runs(columns(spec, metrics).iter().map(String::as_str))?;
        let Some(question) = question else {
            let ranking = analysis::ranking(&runs, &spec.metric.name, spec.metric.goal);
            return Ok(Answered { tuning: None, tabled: None, ranking });
        };
        let tabled = Tabled::of(sources, &runs, question, depth)?;
        Ok(Answered { tuning: Tuning::of(&runs, question), tabled: Some(tabled), ranking: Vec::new() })
    }

    /// For a terminal.
    fn show(&self, inquiry: &Inquiry<'_>) -> Result<String, Failure> {
        let Inquiry { sources, spec, question, record, .. } = inquiry;
        if let (Some(tabled), Some(question)) = (&self.tabled, question) {
            let times = sources.runs(["time.simulate_s", "time.train_s"])?;
            return Ok(tabled.show(question, self.tuning.as_ref(), &times, record));
        }
        let goal = show::Heading { metric: &spec.metric.name, direction: spec.metric.goal, tuning: None };
        let mut text = show::blocks(&goal, &self.ranking);
        text.push_str(&sensitivities(sources, &spec.metric.name)?);
        Ok(text)
    }

    /// For a report.
    fn findings(&self) -> Findings {
        let Answered { tuning, tabled, ranking } = self;
        let findings = Findings { ranking: ranking.clone(), tuning: tuning.clone(), ..Findings::default() };
        match tabled {
            None => findings,
            Some(Tabled { comparisons, convergence, pooled, .. }) => Findings {
                comparisons: comparisons.clone(),
                convergence: convergence.clone(),
                pooled: pooled.clone(),
                ..findings
            },
        }
    }
}

/// The answer to a question, table by table.
struct Tabled {
    comparisons: Vec<Comparison>,
    convergence: Vec<Convergence>,
    pooled: Vec<Pooled>,
    within: Vec<Within>,
}

impl Tabled {
    fn of(sources: &Sources<'_>, runs: &Runs, question: &Question, depth: Depth) -> Result<Tabled, AnswerError> {
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
            within: match depth {
                Depth::Seeds => Vec::new(),
                Depth::Paths => analysis::within(sources, runs, question)?,
            },
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
        Ok(files.into_iter().map(|name| location.join(name)).collect())
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
fn sensitivities(sources: &Sources<'_>, endpoint: &str) -> Result<String, Failure> {
    let others = ["test.mean_cost", "test.turnover"].into_iter().filter(|name| *name != endpoint);
    let metrics: Vec<String> = std::iter::once(endpoint).chain(others).map(str::to_owned).collect();
    let runs = sources.runs(metrics.iter().map(String::as_str))?;
    let mut all = Vec::new();
    for parameter in sources.swept() {
        all.extend(analysis::sensitivity(&runs, &parameter, &sources.column(&parameter)?, &metrics));
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
    let mut names = spec.compare.as_ref().map_or_else(Vec::new, |compare| compare.metrics.clone());
    if !names.contains(&spec.metric.name) {
        names.insert(0, spec.metric.name.clone());
    }
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
