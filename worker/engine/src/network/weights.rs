//! Initial weights that come from a file, identified by their content.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::config::{Field, Kind, Misfit, Value, nearest};

/// The BLAKE3 digest of a weights file. Equal digests mean equal weights, wherever the file lies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WeightsDigest([u8; 32]);

impl WeightsDigest {
    const PREFIX: &'static str = "blake3:";

    /// The digest of a file's content.
    pub fn of(content: &[u8]) -> WeightsDigest {
        WeightsDigest(*blake3::hash(content).as_bytes())
    }
}

impl fmt::Display for WeightsDigest {
    /// `blake3:` and 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for WeightsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for WeightsDigest {
    type Err = ();

    fn from_str(text: &str) -> Result<WeightsDigest, ()> {
        let digits = text.strip_prefix(Self::PREFIX).ok_or(())?;
        blake3::Hash::from_hex(digits).map(|hash| WeightsDigest(*hash.as_bytes())).map_err(|_| ())
    }
}

/// How the weights begin.
#[derive(Clone, Debug)]
pub enum Init {
    /// Xavier-uniform input weights and head, orthogonal recurrent weights, zero biases, drawn from the run's seed.
    XavierOrthogonal,
    /// A file's tensors.
    Weights {
        /// What identifies them.
        digest: WeightsDigest,
        /// The tensors themselves, once attached: a run needs them, planning does not.
        tensors: Option<Arc<InitialWeights>>,
    },
}

impl PartialEq for Init {
    fn eq(&self, other: &Init) -> bool {
        match (self, other) {
            (Init::XavierOrthogonal, Init::XavierOrthogonal) => true,
            (Init::Weights { digest: a, .. }, Init::Weights { digest: b, .. }) => a == b,
            _ => false,
        }
    }
}

impl Field for Init {
    const KIND: Kind = Kind::ChoiceOrWeights(&["xavier_orthogonal"]);

    /// Takes `xavier_orthogonal` or a digest. A path becomes a digest where files are read, before it comes here.
    fn parse(value: &Value) -> Result<Init, Misfit> {
        let Value::Text(text) = value else { return Err(Misfit::wrong_type(value)) };
        if text == "xavier_orthogonal" {
            return Ok(Init::XavierOrthogonal);
        }
        match text.parse() {
            Ok(digest) => Ok(Init::Weights { digest, tensors: None }),
            Err(()) => {
                let misfit = Misfit::new("is neither a known initialisation nor the path of a .safetensors file");
                Err(match nearest(text, ["xavier_orthogonal"]) {
                    Some(near) => misfit.with_help(format!("did you mean `{near}`?")),
                    None => misfit,
                })
            }
        }
    }

    fn value(&self) -> Value {
        match self {
            Init::XavierOrthogonal => Value::from("xavier_orthogonal"),
            Init::Weights { digest, .. } => Value::Text(digest.to_string()),
        }
    }

    fn write_canonical(&self, out: &mut Vec<u8>) {
        crate::config::field::write_bytes(self.value().to_string().as_bytes(), out);
    }
}

/// Why a weights file cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WeightsError {
    /// The file is no complete safetensors file.
    #[error("not a complete safetensors file: {reason}")]
    Malformed {
        /// What the parser says.
        reason: String,
    },
    /// A tensor holds something other than 32-bit floats.
    #[error("tensor {name} has dtype {dtype}; allowed: F32")]
    Dtype {
        /// The tensor's name.
        name: String,
        /// What it holds.
        dtype: String,
    },
    /// A tensor that the network needs is missing.
    #[error("tensor {name} is missing; the file has: {present}")]
    Missing {
        /// The tensor's name.
        name: String,
        /// The names that the file has.
        present: String,
    },
    /// A tensor has the wrong shape for the network.
    #[error("tensor {name} has shape {shape:?}; this network needs {expected:?}")]
    Shape {
        /// The tensor's name.
        name: String,
        /// Its shape in the file.
        shape: Vec<usize>,
        /// The shape that the network has.
        expected: Vec<usize>,
    },
    /// A tensor holds a NaN or an infinite number.
    #[error("tensor {name} holds a number that is not finite")]
    NotFinite {
        /// The tensor's name.
        name: String,
    },
}

/// One tensor of a weights file, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Its numbers.
    pub data: Vec<f32>,
}

/// The tensors of a weights file, by PyTorch's names (`lstm.weight_ih_l0`, …, `fc.bias`).
#[derive(Clone, Debug, PartialEq)]
pub struct InitialWeights {
    digest: WeightsDigest,
    tensors: BTreeMap<String, Tensor>,
}

impl InitialWeights {
    /// Parses a safetensors file's content.
    ///
    /// # Errors
    /// If the content is truncated or malformed, or a tensor is not F32 or not finite.
    pub fn parse(content: &[u8]) -> Result<InitialWeights, WeightsError> {
        let malformed = |reason: safetensors::SafeTensorError| WeightsError::Malformed { reason: reason.to_string() };
        let file = safetensors::SafeTensors::deserialize(content).map_err(malformed)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            if view.dtype() != safetensors::Dtype::F32 {
                return Err(WeightsError::Dtype { name, dtype: format!("{:?}", view.dtype()) });
            }
            let data: Vec<f32> = view
                .data()
                .chunks_exact(4)
                .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")))
                .collect();
            if data.iter().any(|number| !number.is_finite()) {
                return Err(WeightsError::NotFinite { name });
            }
            tensors.insert(name, Tensor { shape: view.shape().to_vec(), data });
        }
        Ok(InitialWeights { digest: WeightsDigest::of(content), tensors })
    }

    /// What identifies the file.
    pub fn digest(&self) -> WeightsDigest {
        self.digest
    }

    /// The numbers of a tensor that must have this shape.
    ///
    /// # Errors
    /// If there is no such tensor or it has another shape.
    pub fn tensor(&self, name: &str, expected: &[usize]) -> Result<&[f32], WeightsError> {
        let tensor = self.tensors.get(name).ok_or_else(|| WeightsError::Missing {
            name: name.to_owned(),
            present: self.tensors.keys().cloned().collect::<Vec<_>>().join(", "),
        })?;
        if tensor.shape != expected {
            return Err(WeightsError::Shape {
                name: name.to_owned(),
                shape: tensor.shape.clone(),
                expected: expected.to_vec(),
            });
        }
        Ok(&tensor.data)
    }
}
