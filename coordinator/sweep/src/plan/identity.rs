//! Digests of sections, cached so that a run's id costs one small hash.
//!
//! A section's bytes depend on few axes, mostly on none: for each arm and section there is a table over the values of
//! those axes alone. What is too large for a table, or was added by `include`, is hashed when it is asked for.

use engine::RunConfig;
use engine::config::Section;
use engine::identity::{SectionDigest, section_digest};

use super::draw::Block;
use super::model::ArmModel;
use super::space::Space;
use crate::spec::{AxisRef, Domain};

/// All tables together have no more entries than these (16 bytes each).
pub(crate) const MAX_ENTRIES: u64 = 5_000_000;

/// What a section of an arm depends on: the digits of these, the last one varying fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    /// An axis of the block.
    Cell { axis: usize, size: u64 },
    /// An axis of the arm's own, on a grid.
    Variant { axis: usize, size: u64 },
    /// The arm's variant as a whole, where variants are draws.
    Draw { size: u64 },
}

impl Term {
    fn size(self) -> u64 {
        match self {
            Term::Cell { size, .. } | Term::Variant { size, .. } | Term::Draw { size } => size,
        }
    }
}

/// The digests of one section of one arm.
#[derive(Clone, Debug)]
struct Table {
    terms: Vec<Term>,
    digests: Vec<SectionDigest>,
}

/// The digests of one arm's sections; `None` for those that are hashed when asked for.
#[derive(Clone, Debug)]
pub(crate) struct ArmDigests([Option<Table>; Section::COUNT]);

impl ArmDigests {
    /// Makes the tables, as long as `budget` has entries left for them.
    pub(crate) fn build(model: &ArmModel<'_>, budget: &mut u64) -> ArmDigests {
        ArmDigests(Section::ALL.map(|section| {
            let terms = terms(model, section);
            let entries = terms.iter().fold(1_u64, |product, term| product.saturating_mul(term.size()));
            *budget = budget.checked_sub(entries)?;
            Some(fill(model, section, terms, entries))
        }))
    }

    /// The digests of a combination that `include` has not added; `config` is asked for where there is no table.
    pub(crate) fn get(
        &self,
        cells: &Space,
        variants: &Space,
        cell: u32,
        variant: u32,
        config: impl Fn() -> RunConfig,
    ) -> [SectionDigest; Section::COUNT] {
        let mut computed = None;
        Section::ALL.map(|section| {
            let Some(table) = &self.0[section as usize] else {
                let config = computed.get_or_insert_with(&config);
                return section_digest(config, section, &mut Vec::new());
            };
            let index = table.terms.iter().fold(0, |index, term| {
                let digit = match term {
                    Term::Cell { axis, .. } => cells.digit(*axis, cell),
                    Term::Variant { axis, .. } => variants.digit(*axis, variant),
                    Term::Draw { .. } => Some(variant as usize),
                };
                index * term.size() as usize + digit.expect("terms have digits")
            });
            table.digests[index]
        })
    }
}

/// What a section of an arm depends on.
fn terms(model: &ArmModel<'_>, section: Section) -> Vec<Term> {
    let touching = |space: &Space| -> Vec<(usize, u64)> {
        let in_section = |key: &str| Section::of_key(key).is_some_and(|(of, _)| of == section);
        let axes = space.axes().iter().enumerate().filter(|(_, axis)| axis.varies() && in_section(&axis.key));
        axes.map(|(place, axis)| match &axis.domain {
            Domain::Values { values, .. } => (place, values.len() as u64),
            Domain::Drawn(_) => (place, u64::MAX),
        })
        .collect()
    };
    let mut terms: Vec<Term> =
        touching(model.cells).into_iter().map(|(axis, size)| Term::Cell { axis, size }).collect();
    let own = touching(model.variants);
    if model.variants.is_drawn() && !own.is_empty() {
        terms.push(Term::Draw { size: model.variants.own_len() });
    } else {
        terms.extend(own.into_iter().map(|(axis, size)| Term::Variant { axis, size }));
    }
    terms
}

fn fill(model: &ArmModel<'_>, section: Section, terms: Vec<Term>, entries: u64) -> Table {
    let mut digests = Vec::with_capacity(entries as usize);
    let mut scratch = Vec::with_capacity(1024);
    let mut digits = vec![0_usize; terms.len()];
    let of_section = |key: &str| Section::of_key(key).is_some_and(|(of, _)| of == section);
    let drawn: Vec<usize> = if terms.iter().any(|term| matches!(term, Term::Draw { .. })) {
        let axes = model.variants.axes();
        (0..axes.len()).filter(|axis| axes[*axis].varies() && of_section(&axes[*axis].key)).collect()
    } else {
        Vec::new()
    };
    let mut blocks = vec![Block::none(); drawn.len()];
    let mut config = model.templates.get(|_| 0).clone();
    // Which terms have changed since the last entry: at first, all.
    let mut changed = 0;
    for _ in 0..entries {
        let kinds_changed = (changed..terms.len()).any(|term| match terms[term] {
            Term::Cell { axis, .. } => model.templates.is_tag(AxisRef::Block(axis)),
            Term::Variant { axis, .. } => model.templates.is_tag(AxisRef::Own(axis)),
            Term::Draw { .. } => drawn.iter().any(|axis| model.templates.is_tag(AxisRef::Own(*axis))),
        });
        if kinds_changed {
            let digit = |at: AxisRef| {
                let term = terms.iter().zip(&digits).find_map(|(term, digit)| match (*term, at) {
                    (Term::Cell { axis, .. }, AxisRef::Block(wanted)) if axis == wanted => Some(*digit),
                    (Term::Variant { axis, .. }, AxisRef::Own(wanted)) if axis == wanted => Some(*digit),
                    (Term::Draw { .. }, AxisRef::Own(wanted)) => model.variants.digit(wanted, *digit as u32),
                    _ => None,
                });
                term.unwrap_or(0)
            };
            config = model.templates.get(digit).clone();
            changed = 0;
        }
        for (term, digit) in terms.iter().zip(&digits).skip(changed) {
            match term {
                Term::Cell { axis, .. } => set(&mut config, model.cells, *axis, *digit),
                Term::Variant { axis, .. } => set(&mut config, model.variants, *axis, *digit),
                Term::Draw { .. } => {
                    for (axis, block) in drawn.iter().zip(&mut blocks) {
                        let key = &model.variants.axes()[*axis].key;
                        let _ = config.set(key, &model.variants.value_from(*axis, *digit as u32, block));
                    }
                }
            }
        }
        digests.push(section_digest(&config, section, &mut scratch));
        changed = terms.len();
        for (place, term) in terms.iter().enumerate().rev() {
            changed = place;
            digits[place] += 1;
            if (digits[place] as u64) < term.size() {
                break;
            }
            digits[place] = 0;
        }
    }
    Table { terms, digests }
}

/// Sets one value of an axis. The values were checked one by one; where a combination of kinds is excluded because it
/// lacks the key, its digest is never asked for.
fn set(config: &mut RunConfig, space: &Space, axis: usize, digit: usize) {
    let axis = &space.axes()[axis];
    if let Domain::Values { values, .. } = &axis.domain {
        let _ = config.set(&axis.key, &values[digit]);
    }
}
