//! A strict reader of Prometheus's text format 0.0.4, with the conventions for names on top.

use std::collections::{BTreeMap, BTreeSet};

/// A family of series.
#[derive(Clone, Debug, Default)]
pub struct Family {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// What it is, for people.
    pub help: String,
    /// Its samples.
    pub samples: Vec<Sample>,
}

/// One line that is no comment.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The family's name, or that with `_bucket`, `_sum` or `_count`.
    pub name: String,
    /// Labels and their values.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

/// Reads a page.
///
/// # Errors
/// What is wrong, and in which line or family.
pub fn read(page: &str) -> Result<BTreeMap<String, Family>, String> {
    if !page.ends_with('\n') {
        return Err("the last line has no end".into());
    }
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in page.lines() {
        let within = |problem: &str| format!("{problem}: {line}");
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (Some(keyword), Some(name), Some(rest)) = (words.next(), words.next(), words.next()) else {
                return Err(within("a comment that is none of HELP and TYPE"));
            };
            match keyword {
                "HELP" => {
                    if !is_name(name) || rest.is_empty() || rest.replace("\\\\", "").replace("\\n", "").contains('\\') {
                        return Err(within("no valid HELP"));
                    }
                    if families.insert(name.into(), Family { help: rest.into(), ..Family::default() }).is_some() {
                        return Err(within("a second HELP"));
                    }
                    current = Some(name.into());
                }
                "TYPE" => {
                    let family = families.get_mut(name).filter(|family| family.kind.is_empty());
                    let family = family.filter(|_| current.as_deref() == Some(name));
                    let family = family.ok_or_else(|| within("a TYPE that does not follow its HELP"))?;
                    if !["counter", "gauge", "histogram"].contains(&rest) {
                        return Err(within("an unknown type"));
                    }
                    family.kind = rest.into();
                }
                _ => return Err(within("a comment that is none of HELP and TYPE")),
            }
            continue;
        }
        let sample = sample(line).ok_or_else(|| within("not a sample"))?;
        let name = current.clone().ok_or_else(|| within("a sample without a family"))?;
        let family = families.get_mut(&name).expect("the current family is one");
        let suffixes: &[&str] = if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        if family.kind.is_empty() || !suffixes.iter().any(|suffix| sample.name == format!("{name}{suffix}")) {
            return Err(within("a sample that is not of the family above it"));
        }
        family.samples.push(sample);
    }
    families
        .iter()
        .try_for_each(|(name, family)| check(name, family).map_err(|problem| format!("{name}: {problem}")))?;
    Ok(families)
}

/// What a family has to be.
fn check(name: &str, family: &Family) -> Result<(), String> {
    if family.samples.is_empty() {
        return Err("has no samples".into());
    }
    if (family.kind == "counter") != name.ends_with("_total") {
        return Err("counters, and only they, end in _total".into());
    }
    let bad_units = ["_milliseconds", "_ms", "_minutes", "_kilobytes", "_percent"];
    if bad_units.iter().any(|unit| name.trim_end_matches("_total").ends_with(unit)) {
        return Err("is not in base units".into());
    }
    let series: BTreeSet<_> = family.samples.iter().map(|sample| (&sample.name, &sample.labels)).collect();
    if series.len() != family.samples.len() {
        return Err("has a series twice".into());
    }
    if family.kind == "counter" && family.samples.iter().any(|sample| sample.value < 0.0) {
        return Err("is below zero".into());
    }
    if family.kind == "histogram" { check_histogram(name, family) } else { Ok(()) }
}

/// One without labels of its own.
fn check_histogram(name: &str, family: &Family) -> Result<(), String> {
    let value = |suffix: &str| {
        let own = family.samples.iter().find(|sample| sample.name == format!("{name}{suffix}"));
        own.map(|sample| sample.value).ok_or_else(|| format!("has no {suffix}"))
    };
    let mut buckets = Vec::new();
    for sample in family.samples.iter().filter(|sample| sample.name.ends_with("_bucket")) {
        let bound = sample.labels.get("le").and_then(|bound| number(bound)).ok_or("a bucket without a bound")?;
        buckets.push((bound, sample.value));
    }
    if !buckets.is_sorted_by(|(low, fewer), (high, more)| low < high && fewer <= more) {
        return Err("its buckets are not cumulative".into());
    }
    match buckets.last() {
        Some(&(bound, all)) if bound == f64::INFINITY && all == value("_count")? => value("_sum").map(drop),
        _ => Err("its last bucket does not hold all".into()),
    }
}

fn is_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        _ => text.parse().ok().filter(|number: &f64| number.is_finite()),
    }
}

/// `name{label="value",…} number`
fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        None => (series, BTreeMap::new()),
        Some((name, rest)) => (name, labels(rest.strip_suffix('}')?)?),
    };
    is_name(name).then_some(Sample { name: name.into(), labels, value: number(value)? })
}

fn labels(mut text: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    loop {
        let (label, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next()? {
                (end, '"') => break end,
                (_, '\\') => value.push(match characters.next()?.1 {
                    'n' => '\n',
                    same @ ('\\' | '"') => same,
                    _ => return None,
                }),
                (_, character) => value.push(character),
            }
        };
        if !is_name(label) || label.contains(':') || labels.insert(label.into(), value).is_some() {
            return None;
        }
        match &rest[end + 1..] {
            "" => return Some(labels),
            more => text = more.strip_prefix(',')?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_well_formed_is_read() {
        let page =
            "# HELP a_total All.\n# TYPE a_total counter\na_total{b=\"c \\\"d\\\"\",e=\"\\\\\"} 3\na_total 4e2\n";
        let families = read(page).unwrap();
        let samples = &families["a_total"].samples;
        assert_eq!((samples[0].labels["b"].as_str(), samples[0].labels["e"].as_str()), ("c \"d\"", "\\"));
        assert_eq!((samples[0].value, samples[1].value), (3.0, 400.0));
    }

    #[test]
    fn what_is_not_is_refused() {
        let gauge = "# HELP g G.\n# TYPE g gauge\n";
        let histogram = "# HELP h H.\n# TYPE h histogram\n";
        for bad in [
            "g 1\n".to_owned(),
            format!("{gauge}g 1"),
            format!("{gauge}g one\n"),
            format!("{gauge}g 1\ng 2\n"),
            format!("{gauge}h 1\n"),
            format!("{gauge}g{{l=\"x}} 1\n"),
            format!("{gauge}g{{l=x}} 1\n"),
            gauge.to_owned(),
            format!("{gauge}g 1\n{gauge}g 1\n"),
            "# HELP g G.\ng 1\n".to_owned(),
            "# HELP g_total G.\n# TYPE g_total gauge\ng_total 1\n".to_owned(),
            "# HELP g_ms G.\n# TYPE g_ms gauge\ng_ms 1\n".to_owned(),
            format!("{histogram}h_bucket{{le=\"1\"}} 2\nh_bucket{{le=\"+Inf\"}} 1\nh_sum 1\nh_count 1\n"),
            format!("{histogram}h_bucket{{le=\"1\"}} 1\nh_sum 1\nh_count 1\n"),
            format!("{histogram}h_bucket{{le=\"+Inf\"}} 1\nh_count 1\n"),
        ] {
            assert!(read(&bad).is_err(), "{bad}");
        }
    }
}
