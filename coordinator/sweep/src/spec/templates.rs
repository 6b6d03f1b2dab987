//! Templates: an arm's configs with their kinds chosen and nothing else varied.
//!
//! Changing a kind (`optimizer.kind`) changes which keys there are, so it cannot be set like a value. There is one
//! template for each combination of the kinds that an arm runs through, nearly always just one.

use engine::config::KeyError;
use engine::{Preset, RunConfig, Value};

use super::axis::{Axis, Domain};
use super::context::catalogue_key;

/// More combinations of kinds than these are no sweep.
const MAX_TEMPLATES: usize = 4096;

/// An axis of the block, or of the arm itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AxisRef {
    Block(usize),
    Own(usize),
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Templates {
    /// The axes that choose kinds and how many values each has, the last one varying fastest.
    tags: Vec<(AxisRef, usize)>,
    configs: Vec<RunConfig>,
}

/// Why an arm has no templates.
#[derive(Clone, Debug)]
pub(crate) enum TemplateError {
    /// A key does not fit; the axis that sets it, and which of its values.
    Key(Option<(AxisRef, usize)>, KeyError),
    /// There are too many combinations of kinds.
    TooMany(AxisRef),
}

impl Templates {
    /// The templates of an arm.
    pub(crate) fn build(preset: Preset, block: &[Axis], own: &[Axis]) -> Result<Templates, Vec<TemplateError>> {
        let refs = (0..block.len()).map(AxisRef::Block).chain((0..own.len()).map(AxisRef::Own));
        let axes: Vec<(AxisRef, &Axis)> = refs.zip(block.iter().chain(own)).collect();
        let is_tag = |axis: &Axis| catalogue_key(&axis.key).is_some_and(|key| key.is_tag);
        let tag_axes: Vec<_> = axes.iter().filter(|(_, axis)| is_tag(axis)).collect();
        let mut tags = Vec::new();
        let mut total = 1_usize;
        for (at, axis) in &tag_axes {
            let Domain::Values { values, .. } = &axis.domain else { continue };
            total = total.saturating_mul(values.len());
            if total > MAX_TEMPLATES {
                return Err(vec![TemplateError::TooMany(*at)]);
            }
            tags.push((*at, values.len()));
        }
        let first = |axis: &Axis| match &axis.domain {
            Domain::Values { values, .. } => Some(values[0].clone()),
            Domain::Drawn(_) => None,
        };
        let mut configs = Vec::with_capacity(total);
        for combination in 0..total {
            let digits = digits(combination, &tags);
            let chosen: Vec<(&str, Value)> = tag_axes
                .iter()
                .zip(&digits)
                .filter_map(|((_, axis), digit)| match &axis.domain {
                    Domain::Values { values, .. } => Some((axis.key.as_str(), values[*digit].clone())),
                    Domain::Drawn(_) => None,
                })
                .collect();
            // Kinds alone may contradict each other until the arm's other keys are set, so those come along if need be.
            let others: Vec<(&str, Value)> = axes
                .iter()
                .filter(|(_, axis)| !is_tag(axis))
                .filter_map(|(_, axis)| Some((axis.key.as_str(), first(axis)?)))
                .collect();
            let resolve = |overrides: &[(&str, Value)]| {
                RunConfig::resolve(preset, 0, overrides.iter().map(|(key, value)| (*key, value)))
            };
            let outcome = resolve(&chosen).or_else(|errors| {
                let bad_tag = |error: &KeyError| chosen.iter().any(|(key, _)| *key == error.key);
                if errors.iter().any(bad_tag) { Err(errors) } else { resolve(&[chosen, others].concat()) }
            });
            match outcome {
                Ok(config) => configs.push(config),
                Err(errors) => {
                    let locate = |error: KeyError| {
                        let place = axes.iter().find(|(_, axis)| axis.key == error.key).map(|(at, _)| {
                            let tag = tags.iter().position(|(tag, _)| tag == at);
                            (*at, tag.map_or(0, |tag| digits[tag]))
                        });
                        TemplateError::Key(place, error)
                    };
                    return Err(errors.into_iter().map(locate).collect());
                }
            }
        }
        Ok(Templates { tags, configs })
    }

    /// All templates.
    pub(crate) fn configs(&self) -> impl Iterator<Item = &RunConfig> {
        self.configs.iter()
    }

    /// The templates to be changed, e.g. to have an arm's constants set.
    pub(crate) fn configs_mut(&mut self) -> impl Iterator<Item = &mut RunConfig> {
        self.configs.iter_mut()
    }

    /// The template where the axes that choose kinds have these digits.
    pub(crate) fn get(&self, digit: impl Fn(AxisRef) -> usize) -> &RunConfig {
        &self.configs[self.tags.iter().fold(0, |index, (axis, size)| index * size + digit(*axis))]
    }

    /// Whether an axis chooses kinds.
    pub(crate) fn is_tag(&self, axis: AxisRef) -> bool {
        self.tags.iter().any(|(tag, _)| *tag == axis)
    }
}

/// The digits of a number in the mixed radix of `tags`.
fn digits(mut number: usize, tags: &[(AxisRef, usize)]) -> Vec<usize> {
    let mut digits = vec![0; tags.len()];
    for (digit, (_, size)) in digits.iter_mut().zip(tags).rev() {
        *digit = number % size;
        number /= size;
    }
    digits
}
