//! From the spec to the plan: size, holes and additions, and a check of every config.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use engine::RunConfig;
use engine::config::KeyError;
use engine::network::InitialWeights;

use super::layout::{Builder, Layout};
use super::model::{ArmModel, Walker};
use super::space::{Pins, Space};
use crate::spec::{AxisRef, Diagnostics, Domain, Filter, Method, Place, Problem, Severity, Spec, Templates, equal};

/// Distinct problems that are reported; their combinations are counted.
const MAX_PROBLEMS: usize = 20;

/// The spaces and the layout of a sweep, before its configs are checked.
pub(super) struct Shape {
    pub(super) cells: Space,
    pub(super) variants: Vec<Space>,
    pub(super) templates: Vec<Templates>,
    /// The first variant of each arm among those of all arms, and their number.
    pub(super) first: Vec<u64>,
    pub(super) layout: Layout,
}

fn refuse(spec: &Spec, problems: impl IntoIterator<Item = Problem>) -> Diagnostics {
    Diagnostics(problems.into_iter().map(|problem| spec.source.diagnostic(Severity::Error, problem)).collect())
}

/// Counts, then expands.
pub(super) fn shape(spec: &Spec) -> Result<Shape, Diagnostics> {
    let cells = Space::grid(spec.block.clone());
    let variants: Vec<Space> = spec
        .arms
        .iter()
        .map(|arm| match spec.method {
            Method::Grid => Space::grid(arm.axes.clone()),
            Method::Random { samples, sweep_seed } => Space::random(arm.axes.clone(), samples, sweep_seed, &arm.name),
        })
        .collect();
    check_cap(spec, &cells, &variants)?;
    let templates = templates(spec)?;
    let mut shape = Shape {
        cells,
        variants,
        templates,
        first: Vec::new(),
        layout: Layout::Dense { cells: 0, variants: 0, seeds: 0 },
    };
    let included = include(spec, &mut shape);
    let ends = shape.variants.iter().scan(0, |end, space| {
        *end += space.len();
        Some(*end)
    });
    shape.first = std::iter::once(0).chain(ends).collect();
    shape.layout = if spec.exclude.is_empty() && spec.include.is_empty() {
        let variants = shape.first[shape.first.len() - 1];
        Layout::Dense { cells: shape.cells.len(), variants, seeds: spec.seeds.len() }
    } else {
        let mut builder = Builder::new(&spec.seeds);
        exclude(spec, &shape, &mut builder);
        for Included { cell, arm, variant, seed } in included {
            builder.with(cell, (shape.first[arm] + u64::from(variant)) as u32, seed);
        }
        builder.finish()
    };
    if shape.layout.len() == 0 {
        let place = spec.exclude.first().map_or(spec.seeds_place, |filter| filter.place);
        return Err(refuse(spec, [Problem::new(place, "exclude", "leaves no runs")]));
    }
    Ok(shape)
}

/// Refuses a sweep that is too large, before anything is expanded.
fn check_cap(spec: &Spec, cells: &Space, variants: &[Space]) -> Result<(), Diagnostics> {
    let wide = u128::from;
    let seeds = wide(spec.seeds.len());
    let per_cell: u128 = variants.iter().map(|space| wide(space.own_len())).sum();
    let grid = wide(cells.own_len()).saturating_mul(per_cell).saturating_mul(seeds);
    let added = spec.include.iter().fold(0_u128, |sum, filter| {
        let cells = wide(cells.count_selected(&filter.pins));
        let of_arm = |(arm, space): (usize, &Space)| match filter.arm {
            Some(only) if only as usize != arm => 0,
            _ => wide(space.count_selected(&filter.pins)),
        };
        let variants: u128 = variants.iter().enumerate().map(of_arm).sum();
        let seeds = if filter.seed.is_some() { 1 } else { seeds };
        sum.saturating_add(cells.saturating_mul(variants).saturating_mul(seeds))
    });
    let total = grid.saturating_add(added);
    if total <= wide(spec.run_cap) {
        return Ok(());
    }
    let arms: Vec<String> = (spec.arms.iter().zip(variants))
        .take(8)
        .map(|(arm, space)| format!("{} {}", arm.name, grouped(wide(space.own_len()))))
        .collect();
    let more = if variants.len() > 8 { " + …" } else { "" };
    let mut message = format!(
        "come to {} runs: {} cells × {} variants ({}{more}) × {} seeds",
        grouped(total),
        grouped(wide(cells.own_len())),
        grouped(per_cell),
        arms.join(" + "),
        grouped(seeds)
    );
    if added > 0 {
        message.push_str(&format!(", and up to {} included ones", grouped(added)));
    }
    let problem = Problem::new(spec.seeds_place, "", format!("the sweep's parameters {message}"));
    let problem = problem.allowed(format!("at most {}, the run_cap", grouped(wide(spec.run_cap))));
    Err(refuse(spec, [problem.help(format!("take fewer values or seeds, or write `run_cap: {total}`"))]))
}

/// A number with its thousands apart.
fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The templates of every arm, with the constants of block and arm set.
fn templates(spec: &Spec) -> Result<Vec<Templates>, Diagnostics> {
    let build = |arm: &crate::spec::Arm| {
        let mut templates = Templates::build(spec.preset, &spec.block, &arm.axes).map_err(|_| {
            // The spec has built the same ones.
            refuse(spec, [Problem::new(arm.place, &arm.path, "has no config")])
        })?;
        let tags: HashSet<&str> = tag_keys(&templates, &spec.block, &arm.axes);
        for config in templates.configs_mut() {
            for axis in spec.block.iter().chain(&arm.axes).filter(|axis| !tags.contains(axis.key.as_str())) {
                if let Domain::Values { values, .. } = &axis.domain {
                    config
                        .set(&axis.key, &values[0])
                        .map_err(|error| refuse(spec, [Problem::of_key(axis.place, &axis.path, error)]))?;
                }
            }
        }
        Ok(templates)
    };
    spec.arms.iter().map(build).collect()
}

fn tag_keys<'s>(
    templates: &Templates,
    block: &'s [crate::spec::Axis],
    own: &'s [crate::spec::Axis],
) -> HashSet<&'s str> {
    let refs = (0..block.len()).map(AxisRef::Block).chain((0..own.len()).map(AxisRef::Own));
    refs.zip(block.iter().chain(own))
        .filter(|(at, _)| templates.is_tag(*at))
        .map(|(_, axis)| axis.key.as_str())
        .collect()
}

/// A combination that `include` asks for.
struct Included {
    cell: u32,
    arm: usize,
    variant: u32,
    seed: Option<u64>,
}

/// Adds the cells and variants that the includes make, and says which combinations they are.
fn include(spec: &Spec, shape: &mut Shape) -> Vec<Included> {
    let mut included = Vec::new();
    for Filter { arm: only, seed, pins, .. } in &spec.include {
        let of_block = |key: &str| spec.block.iter().any(|axis| axis.key == key);
        let (of_cells, of_variants): (Pins, Pins) = pins.iter().cloned().partition(|(key, _)| of_block(key));
        let arms: Vec<usize> = (0..spec.arms.len())
            .filter(|arm| only.is_none_or(|only| only as usize == *arm))
            .filter(|arm| {
                let has = |key: &str| shape.templates[*arm].configs().all(|config| config.get(key).is_some());
                pins.iter().all(|(key, _)| has(key))
            })
            .collect();
        if arms.is_empty() {
            continue;
        }
        let chosen = shape.cells.select(&of_cells);
        for arm in arms {
            // A key that is no axis and has its value anyway pins nothing.
            let own = |key: &str| spec.arms[arm].axes.iter().any(|axis| axis.key == key);
            let idle = |key: &str, value: &engine::Value| {
                let same = |config: &RunConfig| config.get(key).is_some_and(|known| equal(&known, value));
                !own(key) && shape.templates[arm].configs().all(same)
            };
            let pins: Pins = of_variants.iter().filter(|(key, value)| !idle(key, value)).cloned().collect();
            let variants = shape.variants[arm].select(&pins);
            for cell in &chosen {
                let one = |variant: &u32| Included { cell: *cell, arm, variant: *variant, seed: *seed };
                included.extend(variants.iter().map(one));
            }
        }
    }
    included
}

/// An exclude entry as digits of axes.
struct Hole {
    arm: Option<u32>,
    seed: Option<u64>,
    cell: Vec<(usize, usize)>,
    /// For each arm, `None` where the arm cannot match.
    variant: Vec<Option<Vec<(usize, usize)>>>,
}

/// The grid without its holes.
fn exclude(spec: &Spec, shape: &Shape, builder: &mut Builder<'_>) {
    let holes: Vec<Hole> = spec.exclude.iter().filter_map(|filter| hole(spec, shape, filter)).collect();
    let mut seeds = Vec::new();
    for cell in 0..shape.cells.own_len() as u32 {
        let here: Vec<&Hole> = holes.iter().filter(|hole| shape.cells.matches(cell, &hole.cell)).collect();
        for (arm, space) in shape.variants.iter().enumerate() {
            for variant in 0..space.own_len() as u32 {
                seeds.clear();
                let mut gone = false;
                for hole in &here {
                    let fits = hole.arm.is_none_or(|only| only as usize == arm);
                    let Some(pins) = hole.variant[arm].as_ref().filter(|_| fits) else { continue };
                    if space.matches(variant, pins) {
                        gone |= hole.seed.is_none();
                        seeds.extend(hole.seed);
                    }
                }
                if !gone {
                    builder.without(cell, (shape.first[arm] + u64::from(variant)) as u32, &seeds);
                }
            }
        }
    }
}

/// The digits of an entry; `None` if it matches nothing.
fn hole(spec: &Spec, shape: &Shape, filter: &Filter) -> Option<Hole> {
    let mut cell = Vec::new();
    let mut rest = Vec::new();
    for (key, value) in &filter.pins {
        match shape.cells.axes().iter().position(|axis| axis.key == *key) {
            Some(axis) => cell.push((axis, shape.cells.axes()[axis].index_of(value)?)),
            None => rest.push((key, value)),
        }
    }
    let digits = |space: &Space| -> Option<Vec<(usize, usize)>> {
        rest.iter()
            .map(|(key, value)| {
                let axis = space.axes().iter().position(|axis| axis.key == **key)?;
                Some((axis, space.axes()[axis].index_of(value)?))
            })
            .collect()
    };
    let seed = filter.seed;
    let known = seed.is_none_or(|seed| spec.seeds.contains(seed));
    known.then(|| Hole { arm: filter.arm, seed, cell, variant: shape.variants.iter().map(digits).collect() })
}

/// Checks the config of every combination that has runs.
pub(super) fn check(spec: &Spec, shape: &Shape) -> Result<(), Diagnostics> {
    let mut walkers: Vec<Walker<'_>> = (0..spec.arms.len())
        .map(|arm| {
            Walker::new(ArmModel {
                preset: spec.preset,
                cells: &shape.cells,
                variants: &shape.variants[arm],
                templates: &shape.templates[arm],
            })
        })
        .collect();
    let weights: HashMap<String, &Arc<InitialWeights>> =
        spec.weights.iter().map(|loaded| (loaded.weights.digest().to_string(), &loaded.weights)).collect();
    let mut found = Found::default();
    for (cell, variant) in shape.layout.groups() {
        let arm = arm_of(&shape.first, variant);
        let own = (u64::from(variant) - shape.first[arm]) as u32;
        let outcome = walkers[arm].go(cell, own);
        let errors = match outcome {
            Ok(config) => check_config(config, &weights),
            Err(errors) => errors,
        };
        for error in errors {
            found.add(spec, arm, error);
        }
        if found.problems.len() >= MAX_PROBLEMS {
            break;
        }
    }
    found.finish(spec)
}

/// The arm of a variant that is counted among those of all arms.
pub(super) fn arm_of(first: &[u64], variant: u32) -> usize {
    first.partition_point(|first| *first <= u64::from(variant)) - 1
}

fn check_config(config: &RunConfig, weights: &HashMap<String, &Arc<InitialWeights>>) -> Vec<KeyError> {
    let mut errors = config.check();
    const INIT: &str = "network.init";
    if !weights.is_empty()
        && let Some(engine::Value::Text(digest)) = config.get(INIT)
        && let Some(weights) = weights.get(&digest)
        && let Err(error) = config.check_weights(weights)
    {
        errors.push(KeyError {
            key: INIT.into(),
            value: Some(digest.as_str().into()),
            problem: format!("does not fit the network: {error}"),
            allowed: None,
            help: None,
        });
    }
    errors
}

/// The problems of configs, each once, with the number of combinations that have it.
#[derive(Default)]
struct Found {
    problems: Vec<(Place, String, KeyError, u64)>,
    known: HashMap<(usize, String, String), usize>,
}

impl Found {
    fn add(&mut self, spec: &Spec, arm: usize, error: KeyError) {
        let name = (arm, error.key.clone(), error.problem.clone());
        if let Some(known) = self.known.get(&name) {
            self.problems[*known].3 += 1;
            return;
        }
        let own = &spec.arms[arm];
        let axis = own.axes.iter().chain(&spec.block).find(|axis| axis.key == error.key);
        let pinned = || spec.include.iter().find(|filter| filter.pins.iter().any(|(key, _)| *key == error.key));
        let (place, path) = match (axis, pinned()) {
            (Some(axis), _) => {
                let value = error.value.as_ref().and_then(|value| axis.index_of(value));
                (value.map_or(axis.place, |value| axis.value_place(value)), axis.path.clone())
            }
            (None, Some(filter)) => (filter.place, filter.path.clone()),
            // No parameter sets the key: the arm as a whole is the place.
            (None, None) => (own.place, own.path.clone()),
        };
        let named = axis.is_some();
        let error = KeyError {
            value: error.value.map(|value| spec.shown(&value)),
            problem: if named { error.problem } else { format!("{}: {}", error.key, error.problem) },
            ..error
        };
        self.known.insert(name, self.problems.len());
        self.problems.push((place, path, error, 1));
    }

    fn finish(self, spec: &Spec) -> Result<(), Diagnostics> {
        if self.problems.is_empty() {
            return Ok(());
        }
        let problem = |(place, path, error, count): (Place, String, KeyError, u64)| {
            let count = if count > 1 { format!(" (in {count} combinations)") } else { String::new() };
            let problem = format!("{}{count}", error.problem);
            Problem::of_key(place, path, KeyError { problem, ..error })
        };
        Err(refuse(spec, self.problems.into_iter().map(problem)))
    }
}

/// The baseline's arm, and its variant unless the tuning chooses it.
pub(super) fn baseline(spec: &Spec, shape: &Shape) -> Result<Option<(u32, Option<u32>)>, Diagnostics> {
    let Some(compare) = &spec.compare else { return Ok(None) };
    let baseline = &compare.baseline;
    let (arm, space) = (&spec.arms[baseline.arm as usize], &shape.variants[baseline.arm as usize]);
    let first = shape.first[baseline.arm as usize];
    let range = first..shape.first[baseline.arm as usize + 1];
    // Variants without any run are no candidates.
    let alive: HashSet<u32> = match &shape.layout {
        Layout::Dense { .. } => (0..space.len() as u32).collect(),
        layout @ Layout::Sparse { .. } => (layout.groups())
            .filter(|(_, variant)| range.contains(&u64::from(*variant)))
            .map(|(_, variant)| (u64::from(variant) - first) as u32)
            .collect(),
    };
    let matches = |variant: u32| {
        baseline
            .pins
            .iter()
            .all(|(key, value)| space.settings(variant).any(|(known, has)| known == key && equal(&has, value)))
    };
    let mut candidates: Vec<u32> = alive.into_iter().filter(|variant| matches(*variant)).collect();
    candidates.sort_unstable();
    let problem = |message: String| Problem::new(baseline.place, "compare.baseline", message);
    match (candidates.as_slice(), &compare.tune) {
        ([], _) => {
            let pins: Vec<String> = baseline.pins.iter().map(|(key, value)| format!("{key} {value}")).collect();
            let message = if pins.is_empty() {
                format!("is arm {}, which has no runs", arm.name)
            } else {
                format!("is no variant of arm {}: none has {}", arm.name, pins.join(" and "))
            };
            Err(refuse(spec, [problem(message)]))
        }
        ([one], _) => Ok(Some((baseline.arm, Some(*one)))),
        (_, Some(_)) if baseline.pins.is_empty() => Ok(Some((baseline.arm, None))),
        (several, _) => {
            let varying = space.varying();
            let example: Vec<String> = (space.settings(several[0]))
                .filter(|(key, _)| varying.iter().any(|varying| varying == key))
                .map(|(key, value)| format!(", {key}: {}", spec.shown(&value)))
                .collect();
            let tuning = (spec.seeds.len() / 3).max(1);
            Err(refuse(
                spec,
                [problem(format!("is one of {} variants of arm {}", several.len(), arm.name)).help(format!(
                    "name one, `baseline: {{arm: {}{}}}`, or let seeds choose, `tune: {{seeds: {tuning}, by: validation.loss}}`",
                    arm.name,
                    example.concat()
                ))],
            ))
        }
    }
}
