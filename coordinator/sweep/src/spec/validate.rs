//! Every value of every axis against the configs of the arms that it is for.

use std::collections::HashMap;

use engine::config::{KeyError, Kind};
use engine::{Preset, RunConfig, Value};

use super::Arm;
use super::axis::{Axis, Distribution, Domain, fingerprint};
use super::context::{Context, Problem, catalogue_key};
use super::overrides::Fixed;
use super::parameter::{Rules, define};
use super::templates::{AxisRef, TemplateError, Templates};
use super::yaml::Place;

/// Gives the parameters that `--set` fixes to the block, or else to the arms that have them.
pub(crate) fn place_fixed(
    cx: &mut Context<'_>,
    fixed: Vec<Fixed>,
    rules: Rules,
    templates: &[Templates],
    block: &mut Vec<Axis>,
    arms: &mut [Arm],
) {
    for Fixed { key, node, place, path } in fixed {
        let named = super::parameter::Named { key, path: path.clone(), place, node: &node };
        let Some(axis) = define(cx, &named, Rules { drawn: false, ..rules }) else { continue };
        let has = |templates: &Templates| templates.configs().all(|config| config.get(&key.name).is_some());
        let having: Vec<usize> = (0..arms.len()).filter(|arm| has(&templates[*arm])).collect();
        if having.len() == arms.len() {
            block.push(axis);
        } else if having.is_empty() {
            let config = templates[0].configs().find(|config| config.get(&key.name).is_none());
            let refusal = config.and_then(|config| config.clone().set(&key.name, &Value::Null).err());
            let error = refusal.expect("a key that no arm has is refused");
            cx.error(Problem::of_key(place, path, KeyError { help: None, ..error }));
        } else {
            having.into_iter().for_each(|arm| arms[arm].axes.push(axis.clone()));
        }
    }
}

/// The templates of every arm; `None`, and errors, if some arm has none.
pub(crate) fn templates(cx: &mut Context<'_>, preset: Preset, block: &[Axis], arms: &[Arm]) -> Option<Vec<Templates>> {
    let mut all = Vec::with_capacity(arms.len());
    for arm in arms {
        match Templates::build(preset, block, &arm.axes) {
            Ok(templates) => all.push(templates),
            Err(errors) => {
                for error in errors {
                    cx.error(template_problem(error, block, arm));
                }
            }
        }
    }
    (all.len() == arms.len()).then_some(all)
}

fn axis_of<'s>(at: AxisRef, block: &'s [Axis], arm: &'s Arm) -> &'s Axis {
    match at {
        AxisRef::Block(index) => &block[index],
        AxisRef::Own(index) => &arm.axes[index],
    }
}

fn template_problem(error: TemplateError, block: &[Axis], arm: &Arm) -> Problem {
    match error {
        TemplateError::Key(Some((at, value)), error) => {
            let axis = axis_of(at, block, arm);
            Problem::of_key(axis.value_place(value), &axis.path, error)
        }
        TemplateError::Key(None, error) => {
            let message = format!("{}: {}", error.key, error.problem);
            Problem::of_key(arm.place, &arm.path, KeyError { problem: message, ..error })
        }
        TemplateError::TooMany(at) => {
            let axis = axis_of(at, block, arm);
            Problem::new(axis.place, &axis.path, "makes too many combinations of kinds")
        }
    }
}

/// Checks every value, and replaces it by what the config makes of it (`1/250` becomes 0.004).
pub(crate) fn check(cx: &mut Context<'_>, templates: &[Templates], block: &mut [Axis], arms: &mut [Arm]) {
    let names: Vec<String> = arms.iter().map(|arm| arm.name.clone()).collect();
    for axis in block.iter_mut() {
        let has = |templates: &Templates| templates.configs().all(|config| config.get(&axis.key).is_some());
        let (having, lacking): (Vec<usize>, Vec<usize>) = (0..templates.len()).partition(|arm| has(&templates[*arm]));
        if let Some(lacking) = lacking.first() {
            let having: Vec<&str> = having.iter().map(|arm| names[*arm].as_str()).collect();
            inapplicable(cx, axis, &templates[*lacking], &names[*lacking], &having, arms_exist(&names));
            continue;
        }
        check_axis(cx, templates, axis);
    }
    for (arm, templates) in arms.iter_mut().zip(templates) {
        for axis in &mut arm.axes {
            if templates.configs().any(|config| config.get(&axis.key).is_none()) {
                inapplicable(cx, axis, templates, &arm.name, &[], false);
                continue;
            }
            check_axis(cx, std::slice::from_ref(templates), axis);
        }
    }
}

fn arms_exist(names: &[String]) -> bool {
    names != [super::ONLY_ARM]
}

/// Says that an arm's kinds do not have a key, and where it belongs.
fn inapplicable(cx: &mut Context<'_>, axis: &Axis, templates: &Templates, arm: &str, having: &[&str], of_block: bool) {
    let config = templates.configs().find(|config| config.get(&axis.key).is_none()).expect("a config lacks the key");
    let error = config.clone().set(&axis.key, &Value::Null).expect_err("a key that is not there is refused");
    let error = KeyError { value: None, ..error };
    if !of_block {
        cx.error(Problem::of_key(axis.place, &axis.path, error));
        return;
    }
    let message = format!("{}, which is arm {arm}'s", error.problem);
    let help = match having {
        [] => error.help.clone(),
        names => Some(format!("move it to the arms that have it: {}", names.join(", "))),
    };
    cx.error(Problem::of_key(axis.place, &axis.path, KeyError { problem: message, help, ..error }));
}

fn check_axis(cx: &mut Context<'_>, templates: &[Templates], axis: &mut Axis) {
    if catalogue_key(&axis.key).is_some_and(|key| key.is_tag) {
        // The templates exist, so the kinds do.
        return refuse_duplicates(cx, axis);
    }
    let mut configs: Vec<RunConfig> = templates.iter().flat_map(Templates::configs).cloned().collect();
    configs.dedup();
    match &mut axis.domain {
        Domain::Drawn(distribution) => {
            for (end, value) in ends(*distribution) {
                for config in &mut configs {
                    if let Err(error) = config.set(&axis.key, &value) {
                        let path = format!("{}.{end}", axis.path);
                        cx.error(Problem::of_key(axis.place, path, error));
                    }
                }
            }
        }
        Domain::Values { values, places } => {
            let mut sound = true;
            for (index, value) in values.iter_mut().enumerate() {
                let mut typed = None;
                for config in &mut configs {
                    match config.set(&axis.key, value) {
                        Ok(()) => typed = typed.or_else(|| config.get(&axis.key)),
                        Err(error) => {
                            let place = places.get(index).copied().unwrap_or(axis.place);
                            cx.error(Problem::of_key(place, &axis.path, error));
                            sound = false;
                        }
                    }
                }
                if let Some(typed) = typed {
                    *value = typed;
                }
            }
            if sound {
                refuse_duplicates(cx, axis);
            }
        }
    }
}

/// The values of a distribution that a key must be able to take.
fn ends(distribution: Distribution) -> Vec<(&'static str, Value)> {
    match distribution {
        Distribution::Uniform { min, max } => vec![("min", min.into()), ("max", max.into())],
        Distribution::LogUniform { min, max, .. } => vec![("min", min.into()), ("max", max.into())],
        Distribution::Integer { min, max } => vec![("min", min.into()), ("max", max.into())],
        Distribution::Normal { mu, whole, .. } => vec![("mu", if whole { mu.round() } else { mu }.into())],
    }
}

/// Says which value stands twice.
fn refuse_duplicates(cx: &mut Context<'_>, axis: &Axis) {
    let Domain::Values { values, places } = &axis.domain else { return };
    let mut first: HashMap<String, usize> = HashMap::with_capacity(values.len());
    let place = |index: usize| -> Place { places.get(index).copied().unwrap_or(axis.place) };
    for (index, value) in values.iter().enumerate() {
        if let Some(earlier) = first.insert(fingerprint(value), index) {
            let weights = catalogue_key(&axis.key).is_some_and(|key| matches!(key.kind, Kind::ChoiceOrWeights(_)));
            let line = place(earlier).line;
            let message = if weights {
                format!("has the same content as the value on line {line}")
            } else {
                format!("is given twice, first on line {line}")
            };
            cx.error(
                Problem::new(place(index), format!("{}.values[{index}]", axis.path), message).value(value.to_string()),
            );
        }
    }
}
