//! An arm as the planner computes with it: its spaces and templates, and the configs that they make.

use engine::config::KeyError;
use engine::{Preset, RunConfig, Value};

use super::draw::Block;
use super::space::Space;
use crate::spec::{AxisRef, Templates};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ArmModel<'p> {
    pub(crate) preset: Preset,
    pub(crate) cells: &'p Space,
    pub(crate) variants: &'p Space,
    /// With the constants of block and arm set.
    pub(crate) templates: &'p Templates,
}

impl ArmModel<'_> {
    /// Whether block and arm have the combination without `include`.
    fn is_own(&self, cell: u32, variant: u32) -> bool {
        !self.cells.is_extra(cell) && !self.variants.is_extra(variant)
    }

    fn digit(&self, cell: u32, variant: u32) -> impl Fn(AxisRef) -> usize {
        move |at| {
            let digit = match at {
                AxisRef::Block(axis) => self.cells.digit(axis, cell),
                AxisRef::Own(axis) => self.variants.digit(axis, variant),
            };
            digit.expect("kinds are chosen from values")
        }
    }

    /// The kinds and constants of a combination that `include` has not added.
    pub(crate) fn template(&self, cell: u32, variant: u32) -> &RunConfig {
        self.templates.get(self.digit(cell, variant))
    }

    /// The config of a combination.
    pub(crate) fn config(&self, cell: u32, variant: u32, seed: u64) -> Result<RunConfig, Vec<KeyError>> {
        if !self.is_own(cell, variant) {
            // An included value may change a kind or set a key that is no axis.
            let settings: Vec<(&str, Value)> = (self.cells.settings(cell))
                .chain(self.variants.settings(variant))
                .map(|(key, value)| (key, value.into_owned()))
                .collect();
            return RunConfig::resolve(self.preset, seed, settings.iter().map(|(key, value)| (*key, value)));
        }
        let mut config = self.template(cell, variant).clone();
        config.seed = seed;
        let mut errors = Vec::new();
        self.set_all(&mut config, cell, variant, &mut errors);
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    /// Sets every axis that varies.
    fn set_all(&self, config: &mut RunConfig, cell: u32, variant: u32, errors: &mut Vec<KeyError>) {
        for (space, index) in [(self.cells, cell), (self.variants, variant)] {
            for (place, axis) in space.axes().iter().enumerate().filter(|(_, axis)| axis.varies()) {
                errors.extend(config.set(&axis.key, &space.value(place, index)).err());
            }
        }
    }
}

/// Goes through an arm's combinations in order, changing as little of one config as it can.
pub(crate) struct Walker<'p> {
    model: ArmModel<'p>,
    config: RunConfig,
    /// The combination that `config` is of.
    here: Option<(u32, u32)>,
    /// The blocks that the arm's axes are being drawn from.
    blocks: Vec<Block>,
}

impl<'p> Walker<'p> {
    pub(crate) fn new(model: ArmModel<'p>) -> Walker<'p> {
        Walker {
            model,
            config: model.templates.get(|_| 0).clone(),
            here: None,
            blocks: vec![Block::none(); model.variants.axes().len()],
        }
    }

    /// The config of a combination.
    pub(crate) fn go(&mut self, cell: u32, variant: u32) -> Result<&RunConfig, Vec<KeyError>> {
        let Some(here) = self.here.take().filter(|_| self.model.is_own(cell, variant)) else {
            self.config = self.model.config(cell, variant, 0)?;
            self.here = self.model.is_own(cell, variant).then_some((cell, variant));
            return Ok(&self.config);
        };
        let mut errors = Vec::new();
        let moves = [(self.model.cells, here.0, cell, 0), (self.model.variants, here.1, variant, 1)];
        for (space, from, to, own) in moves {
            if from == to {
                continue;
            }
            for (place, axis) in space.axes().iter().enumerate().filter(|(_, axis)| axis.varies()) {
                if !space.is_drawn() && space.digit(place, from) == space.digit(place, to) {
                    continue;
                }
                let at = if own == 1 { AxisRef::Own(place) } else { AxisRef::Block(place) };
                if self.model.templates.is_tag(at) {
                    self.config = self.model.config(cell, variant, 0)?;
                    self.here = Some((cell, variant));
                    return Ok(&self.config);
                }
                let value = if own == 1 {
                    space.value_from(place, to, &mut self.blocks[place])
                } else {
                    space.value(place, to)
                };
                errors.extend(self.config.set(&axis.key, &value).err());
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        self.here = Some((cell, variant));
        Ok(&self.config)
    }
}
