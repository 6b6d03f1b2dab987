//! What to keep of each run beside its metrics.

use engine::record::{Record, RecordSamples, SampleSet};

use super::context::{Context, Problem, Whole};
use super::yaml::{Data, Node};
use engine::Value;

/// Paths of a set and epoch that are kept unless the file says otherwise.
pub(crate) const DEFAULT_MAX_PATHS: u64 = 10_000;

/// `record: {curves: true, samples: none}`.
pub(crate) fn read(cx: &mut Context<'_>, node: &Node) -> Option<Record> {
    let fields = cx.fields(node, "record", &["curves", "samples"])?;
    let curves = match fields.get("curves") {
        Some(node) => cx.flag(node, "record.curves")?,
        None => true,
    };
    let samples = match fields.get("samples") {
        Some(node) => read_samples(cx, node)?,
        None => None,
    };
    Some(Record { curves, samples })
}

fn read_samples(cx: &mut Context<'_>, node: &Node) -> Option<Option<RecordSamples>> {
    const PATH: &str = "record.samples";
    if let Data::Scalar { value, text } = &node.data {
        if matches!(value, Value::Null | Value::Bool(false)) || text == "none" {
            return Some(None);
        }
        let problem = Problem::new(node.place, PATH, "is not known").value(text.clone());
        cx.error(problem.allowed("none, or a map such as {sets: [train, test], epochs: last, max_paths: 10000}"));
        return None;
    }
    let fields = cx.fields(node, PATH, &["sets", "epochs", "max_paths"])?;
    let words = SampleSet::ALL.map(SampleSet::word);
    let Some(sets_node) = fields.get("sets") else {
        let problem = Problem::new(fields.place, fields.path("sets"), "is missing");
        cx.error(problem.allowed(format!("a list of {}", words.join(", "))));
        return None;
    };
    let mut sets = Vec::new();
    let items = cx.list(sets_node, &fields.path("sets"))?;
    for (place, item) in items.iter().enumerate() {
        let path = format!("{}[{place}]", fields.path("sets"));
        let set = SampleSet::ALL[cx.word(item, &path, &words)?];
        if sets.contains(&set) {
            cx.error(Problem::new(item.place, path, "is given twice").value(item.shown()));
            return None;
        }
        sets.push(set);
    }
    if sets.is_empty() {
        let problem = Problem::new(sets_node.place, fields.path("sets"), "is empty");
        cx.error(problem.help("write `samples: none` to keep no samples"));
        return None;
    }
    let all_epochs = match fields.get("epochs") {
        Some(node) => cx.word(node, &fields.path("epochs"), &["last", "all"])? == 1,
        None => false,
    };
    let max_paths = match fields.get("max_paths") {
        Some(node) => cx.whole(node, &fields.path("max_paths"), Whole::new(1, 10_000_000))?,
        None => DEFAULT_MAX_PATHS,
    };
    Some(Some(RecordSamples { sets, all_epochs, max_paths }))
}
