//! What the declared sections have in common, so that one piece of code serves them all.

use super::{KeySpec, Misfit, Value};

/// The keys of one section, or of one kind of a section. Implemented by `section!`.
pub trait Keys: Default {
    /// The keys in their order of declaration.
    const SPECS: &'static [KeySpec];

    /// The value of a key, `None` if there is no such key.
    fn get(&self, key: &str) -> Option<Value>;

    /// Sets a key, `None` if there is no such key; a value that does not fit changes nothing.
    fn set(&mut self, key: &str, value: &Value) -> Option<Result<(), Misfit>>;

    /// Appends every key and value to the bytes of a run's identity.
    fn write_canonical(&self, out: &mut Vec<u8>);
}

/// [`Keys`] behind a reference, for sections whose type is chosen by a tag.
pub trait KeysDyn {
    /// See [`Keys::SPECS`].
    fn specs(&self) -> &'static [KeySpec];
    /// See [`Keys::get`].
    fn get(&self, key: &str) -> Option<Value>;
    /// See [`Keys::set`].
    fn set(&mut self, key: &str, value: &Value) -> Option<Result<(), Misfit>>;
    /// See [`Keys::write_canonical`].
    fn write_canonical(&self, out: &mut Vec<u8>);
}

impl<K: Keys> KeysDyn for K {
    fn specs(&self) -> &'static [KeySpec] {
        K::SPECS
    }

    fn get(&self, key: &str) -> Option<Value> {
        Keys::get(self, key)
    }

    fn set(&mut self, key: &str, value: &Value) -> Option<Result<(), Misfit>> {
        Keys::set(self, key, value)
    }

    fn write_canonical(&self, out: &mut Vec<u8>) {
        Keys::write_canonical(self, out);
    }
}

/// A section whose tag selects its type. Implemented by `kinds!`.
pub trait Tagged: Sized {
    /// The tag's key within the section: `kind`, `model` or `cell`.
    const TAG: &'static str;
    /// Every kind's word with its keys.
    const KINDS: &'static [(&'static str, &'static [KeySpec])];

    /// The kind of this word with its defaults.
    fn with_kind(word: &str) -> Option<Self>;
    /// The word of this kind.
    fn kind(&self) -> &'static str;
    /// The keys of this kind.
    fn keys(&self) -> &dyn KeysDyn;
    /// The keys of this kind.
    fn keys_mut(&mut self) -> &mut dyn KeysDyn;
}
