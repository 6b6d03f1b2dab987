//! The comparison that a sweep is for.

use engine::Value;
use engine::metrics::Direction;

use super::Arm;
use super::axis::Axis;
use super::context::{Context, Problem, Whole, step};
use super::filter::typed;
use super::seeds::Seeds;
use super::templates::Templates;
use super::yaml::{Data, Node, Place};

/// The primary endpoint: the metric that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The metric's name in the catalogue.
    pub name: String,
    /// Which way it is better: never [`Direction::Neutral`].
    pub goal: Direction,
}

impl Default for Endpoint {
    fn default() -> Endpoint {
        Endpoint { name: "test.loss".into(), goal: Direction::Minimize }
    }
}

/// What is compared with what.
#[derive(Clone, Debug)]
pub struct Compare {
    /// What the other arms are compared with.
    pub baseline: Baseline,
    /// The metrics that are compared; never empty.
    pub metrics: Vec<String>,
    /// How each arm's variant is chosen.
    pub tune: Option<Tune>,
}

/// An arm, or one variant of it.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// The arm's index.
    pub arm: u32,
    /// The values that name one variant; empty where the arm is meant.
    pub pins: Vec<(String, Value)>,
    pub(crate) place: Place,
}

/// The first seeds choose each arm's variant, the others confirm it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tune {
    /// How many of the first seeds choose; fewer than there are.
    pub seeds: u64,
    /// The metric by which they choose.
    pub by: String,
}

/// `metric: {name: test.loss, goal: minimize}`.
pub(crate) fn endpoint(cx: &mut Context<'_>, node: &Node) -> Option<Endpoint> {
    let (name_node, goal) = match &node.data {
        Data::Map(_) => {
            let fields = cx.fields(node, "metric", &["name", "goal"])?;
            let goal = match fields.get("goal") {
                Some(node) => Some(
                    [Direction::Minimize, Direction::Maximize]
                        [cx.word(node, "metric.goal", &["minimize", "maximize"])?],
                ),
                None => None,
            };
            let Some(name) = fields.get("name") else {
                cx.error(Problem::new(fields.place, "metric.name", "is missing").allowed("a metric's name"));
                return None;
            };
            (name, goal)
        }
        _ => (node, None),
    };
    let path = if std::ptr::eq(name_node, node) { "metric" } else { "metric.name" };
    let name = cx.metric(name_node, path)?;
    let natural = engine::metrics::catalogue()[engine::metrics::index_of(&name)?].direction;
    let goal = match (goal, natural) {
        (Some(goal), _) => goal,
        (None, Direction::Neutral) => {
            let problem = Problem::new(name_node.place, "metric.goal", format!("is missing, and {name} has none"));
            cx.error(problem.allowed("minimize, maximize"));
            return None;
        }
        (None, natural) => natural,
    };
    if natural != Direction::Neutral && goal != natural {
        let word = if goal == Direction::Minimize { "smaller" } else { "larger" };
        let problem = Problem::new(node.place, "metric.goal", format!("says that a {word} {name} is better"));
        cx.warn(problem.help("leave `goal` out to take the metric's own direction"));
    }
    Some(Endpoint { name, goal })
}

/// `compare: {baseline: adam, metrics: […], tune: {seeds: 10, by: validation.loss}}`.
pub(crate) fn read(
    cx: &mut Context<'_>,
    node: &Node,
    endpoint: &Endpoint,
    seeds: Option<&Seeds>,
    block: &[Axis],
    arms: &[Arm],
    templates: &[Templates],
) -> Option<Compare> {
    let fields = cx.fields(node, "compare", &["baseline", "metrics", "tune"])?;
    let metrics = match fields.get("metrics") {
        None => Some(vec![endpoint.name.clone()]),
        Some(node) => read_metrics(cx, node),
    };
    let tune = match fields.get("tune") {
        None => Some(None),
        Some(node) => read_tune(cx, node, seeds).map(Some),
    };
    let Some(baseline) = fields.get("baseline") else {
        let problem = Problem::new(fields.place, "compare.baseline", "is missing");
        cx.error(problem.allowed(arm_names(arms).join(", ")));
        return None;
    };
    let baseline = read_baseline(cx, baseline, block, arms, templates);
    Some(Compare { baseline: baseline?, metrics: metrics?, tune: tune? })
}

fn arm_names(arms: &[Arm]) -> Vec<&str> {
    arms.iter().map(|arm| arm.name.as_str()).collect()
}

/// The index of an arm by its name.
pub(crate) fn arm(cx: &mut Context<'_>, node: &Node, path: &str, arms: &[Arm]) -> Option<u32> {
    let name = cx.text(node, path)?;
    if let Some(place) = arms.iter().position(|arm| arm.name == name) {
        return Some(place as u32);
    }
    let names = arm_names(arms);
    let problem = Problem::new(node.place, path, "is no arm").value(name.to_owned()).allowed(names.join(", "));
    cx.error(problem.suggest(name, names));
    None
}

fn read_metrics(cx: &mut Context<'_>, node: &Node) -> Option<Vec<String>> {
    let items = cx.list(node, "compare.metrics")?;
    if items.is_empty() {
        cx.error(Problem::new(node.place, "compare.metrics", "is empty").help("leave it out to compare the `metric`"));
        return None;
    }
    let mut names = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let path = format!("compare.metrics[{place}]");
        if let Some(name) = cx.metric(item, &path) {
            if names.contains(&name) {
                cx.error(Problem::new(item.place, path, "is given twice").value(name.clone()));
            }
            names.push(name);
        }
    }
    (names.len() == items.len()).then_some(names)
}

fn read_tune(cx: &mut Context<'_>, node: &Node, seeds: Option<&Seeds>) -> Option<Tune> {
    let fields = cx.fields(node, "compare.tune", &["seeds", "by"])?;
    let by = match fields.get("by") {
        None => Some("validation.loss".to_owned()),
        Some(node) => cx.metric(node, "compare.tune.by"),
    };
    if let (Some(by), Some(node)) = (&by, fields.get("by"))
        && by.starts_with("test.")
    {
        let problem = Problem::new(node.place, "compare.tune.by", "tunes on the test set").value(by.clone());
        cx.warn(problem.help("tune by validation.loss, and keep the test set for the confirmation"));
    }
    let Some(node) = fields.get("seeds") else {
        cx.error(Problem::new(fields.place, "compare.tune.seeds", "is missing").allowed("a whole number ≥ 1"));
        return None;
    };
    let tuning = cx.whole(node, "compare.tune.seeds", Whole::new(1, i64::MAX as u64))?;
    let all = seeds?.len();
    if tuning >= all {
        let problem =
            Problem::new(node.place, "compare.tune.seeds", format!("leaves none of the {all} seeds to confirm"));
        let problem = problem.value(tuning.to_string());
        cx.error(if all > 2 { problem.allowed(format!("a whole number, 1 to {}", all - 2)) } else { problem });
        return None;
    }
    if all - tuning == 1 {
        let problem = Problem::new(node.place, "compare.tune.seeds", "leaves a single seed to confirm");
        cx.warn(problem.value(tuning.to_string()).help("one seed is no replication: take more seeds"));
    }
    Some(Tune { seeds: tuning, by: by? })
}

fn read_baseline(
    cx: &mut Context<'_>,
    node: &Node,
    block: &[Axis],
    arms: &[Arm],
    templates: &[Templates],
) -> Option<Baseline> {
    const PATH: &str = "compare.baseline";
    let Data::Map(entries) = &node.data else {
        let arm = arm(cx, node, PATH, arms)?;
        return Some(Baseline { arm, pins: Vec::new(), place: node.place });
    };
    let Some(arm_entry) = entries.iter().find(|entry| entry.key == "arm") else {
        let problem = Problem::new(node.place, step(PATH, "arm"), "is missing");
        cx.error(problem.allowed(arm_names(arms).join(", ")));
        return None;
    };
    let arm = arm(cx, &arm_entry.node, &step(PATH, "arm"), arms)?;
    let own = &arms[arm as usize];
    let mut pins = Vec::new();
    for entry in entries.iter().filter(|entry| entry.key != "arm") {
        let path = step(PATH, &entry.key);
        let problem = |message: String| Problem::new(entry.place, &path, message);
        let Some(axis) = own.axes.iter().find(|axis| axis.key == entry.key) else {
            let keys: Vec<_> = own.axes.iter().map(|axis| axis.key.as_str()).collect();
            let problem = if block.iter().any(|axis| axis.key == entry.key) {
                problem("is a parameter of the block: arms are compared within each of its cells".into())
            } else {
                problem(format!("is no parameter of arm {}", own.name)).suggest(&entry.key, keys.iter().copied())
            };
            cx.error(if keys.is_empty() { problem } else { problem.allowed(keys.join(", ")) });
            return None;
        };
        let value = cx.config_value(&entry.node, &path, &axis.key)?;
        let value = match typed(&templates[arm as usize..=arm as usize], &axis.key, &value) {
            Ok(value) => value,
            Err(Some(error)) => {
                cx.error(Problem::of_key(entry.node.place, &path, *error));
                return None;
            }
            Err(None) => value,
        };
        pins.push((axis.key.clone(), value));
    }
    Some(Baseline { arm, pins, place: node.place })
}
