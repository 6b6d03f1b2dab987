//! The dashboard that ships, as tests read it.

use std::collections::BTreeSet;

use serde_json::Value;

/// A query of a panel.
#[derive(Clone, Debug)]
pub struct Query {
    /// The panel's title.
    pub panel: String,
    /// PromQL, with Grafana's variables.
    pub expression: String,
}

impl Query {
    /// The names of our metrics in it.
    pub fn metrics(&self) -> BTreeSet<String> {
        metrics(&self.expression)
    }

    /// As Grafana would send it for all jobs, with rates over `window`.
    pub fn for_prometheus(&self, window: &str) -> String {
        self.expression.replace("$__rate_interval", window).replace("$job", ".*")
    }
}

/// The names of our metrics in a text.
pub fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("hedgesweep_")).map(str::to_owned).collect()
}

/// The dashboard.
///
/// # Panics
/// If it is no JSON.
pub fn dashboard() -> Value {
    let path = crate::repository().join("deploy/grafana/hedgesweep.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The queries of all its panels.
///
/// # Panics
/// If a panel has none.
pub fn queries(dashboard: &Value) -> Vec<Query> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let of_panel = |panel: &Value| {
        let title = panel["title"].as_str().expect("a title").to_owned();
        let targets = panel["targets"].as_array().expect("targets").clone();
        targets.into_iter().map(move |target| Query {
            panel: title.clone(),
            expression: target["expr"].as_str().expect("an expression").to_owned(),
        })
    };
    panels.iter().flat_map(of_panel).collect()
}
