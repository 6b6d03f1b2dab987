//! Sweep files that are right, and every way in which they can be wrong.

mod errors;
mod files;
mod fuzz;
mod sets;

use super::*;

/// The smallest file, with more lines.
pub(super) fn file(lines: &str) -> String {
    format!("name: test\npreset: paper\n{lines}")
}

pub(super) fn read(text: &str) -> Result<(Spec, Vec<Diagnostic>), Diagnostics> {
    parse(text, "sweeps/test.yaml", &[], &mut NoWeights)
}

/// Reads [`file`] with more lines, which are right.
pub(super) fn good(lines: &str) -> Spec {
    match read(&file(lines)) {
        Ok((spec, warnings)) => {
            assert!(warnings.is_empty(), "{}", Diagnostics(warnings));
            spec
        }
        Err(errors) => panic!("{errors}"),
    }
}

/// What is said of [`file`] with more lines, which are wrong.
pub(super) fn bad(lines: &str) -> String {
    match read(&file(lines)) {
        Ok(_) => panic!("this is accepted:\n{lines}"),
        Err(errors) => errors.to_string(),
    }
}

/// The values of an axis, as text.
pub(super) fn values(spec: &Spec, key: &str) -> String {
    let axes = spec.block.iter().chain(spec.arms.iter().flat_map(|arm| &arm.axes));
    let axis = axes.clone().find(|axis| axis.key == key).unwrap_or_else(|| panic!("no axis {key}"));
    match &axis.domain {
        Domain::Values { values, .. } => values.iter().map(Value::to_string).collect::<Vec<_>>().join(" "),
        Domain::Drawn(distribution) => format!("{distribution:?}"),
    }
}

/// A safetensors file with these tensors of zeros.
pub(crate) fn weights_file(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let zeros: Vec<Vec<u8>> = tensors.iter().map(|(_, shape)| vec![0; 4 * shape.iter().product::<usize>()]).collect();
    let views = tensors.iter().zip(&zeros).map(|((name, shape), data)| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.to_vec(), data);
        ((*name).to_owned(), view.expect("the data has the shape's size"))
    });
    safetensors::serialize(views, None).expect("tensors serialise")
}

/// The tensors of an LSTM hedger.
pub(crate) fn lstm(hidden: usize) -> Vec<u8> {
    let gates = 4 * hidden;
    weights_file(&[
        ("lstm.weight_ih_l0", &[gates, 2]),
        ("lstm.weight_hh_l0", &[gates, hidden]),
        ("lstm.bias_ih_l0", &[gates]),
        ("lstm.bias_hh_l0", &[gates]),
        ("fc.weight", &[1, hidden]),
        ("fc.bias", &[1]),
    ])
}

/// Weights files in memory.
pub(crate) struct Files(pub(crate) Vec<(&'static str, Vec<u8>)>);

impl WeightsSource for Files {
    fn load(&mut self, path: &str) -> Result<Arc<InitialWeights>, String> {
        let file = self.0.iter().find(|(name, _)| *name == path);
        let (_, content) = file.ok_or_else(|| format!("cannot read {path}: no such file"))?;
        InitialWeights::parse(content).map(Arc::new).map_err(|error| error.to_string())
    }
}
