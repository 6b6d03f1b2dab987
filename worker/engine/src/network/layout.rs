//! How a network's tensors lie in one flat vector of weights.

use std::ops::Range;

use super::{InitialWeights, WeightsError};

/// One tensor of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    /// PyTorch's name for it.
    pub name: &'static str,
    /// Its dimensions, as PyTorch has them.
    pub shape: Vec<usize>,
    /// How it begins.
    pub start: Start,
    /// Where it lies in the flat vector, row-major.
    pub range: Range<usize>,
}

/// How a tensor begins when no file says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Uniform on ±√(6/(rows + columns)), Glorot & Bengio 2010.
    XavierUniform,
    /// A uniformly random matrix with orthonormal rows or columns, Saxe, McClelland, Ganguli 2014.
    Orthogonal,
    /// Zeros.
    Zeros,
}

/// A network's tensors in the order of the flat vector; weights, gradients and moments all lie this way.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    tensors: Vec<TensorSpec>,
    head: usize,
}

impl Layout {
    /// The layout of these tensors; the ones from number `first_of_head` on are the head's.
    pub(super) fn new(tensors: &[(&'static str, &[usize], Start)], first_of_head: usize) -> Layout {
        let mut end = 0;
        let specs: Vec<TensorSpec> = tensors
            .iter()
            .map(|&(name, shape, start)| {
                let begin = end;
                end += shape.iter().product::<usize>();
                TensorSpec { name, shape: shape.to_vec(), start, range: begin..end }
            })
            .collect();
        let head = specs[first_of_head].range.start;
        Layout { tensors: specs, head }
    }

    /// The tensors in order.
    pub fn tensors(&self) -> &[TensorSpec] {
        &self.tensors
    }

    /// Number of weights.
    pub fn len(&self) -> usize {
        self.tensors.last().map_or(0, |last| last.range.end)
    }

    /// Whether there are no weights.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the head's weights lie: at the end.
    pub fn head(&self) -> Range<usize> {
        self.head..self.len()
    }

    /// H: how many inputs the head has, which has one output and a bias.
    pub fn head_inputs(&self) -> usize {
        self.head().len() - 1
    }

    /// Where the other layers' weights lie: before the head's.
    pub fn body(&self) -> Range<usize> {
        0..self.head
    }

    /// Checks that a file has every tensor in its shape. Tensors that the network does not have are of no concern.
    ///
    /// # Errors
    /// The first tensor that is missing or has another shape.
    pub fn check(&self, weights: &InitialWeights) -> Result<(), WeightsError> {
        self.tensors.iter().try_for_each(|spec| weights.tensor(spec.name, &spec.shape).map(|_| ()))
    }
}
