//! The macros that declare choices, sections and kinds once, for parsing, ranges, identity, schema and documentation.

/// Declares an enum of words that a key can have: `choices! { /// doc pub enum Scheme { /// doc Absorption = "absorption" } }`.
macro_rules! choices {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_meta])* $variant,)+ }

        impl $name {
            /// The words, in the order of the variants.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word of this variant.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }

            /// The variant of a word, if there is one.
            pub fn from_word(word: &str) -> Option<$name> {
                match word { $($word => Some($name::$variant),)+ _ => None }
            }
        }

        impl $crate::config::Field for $name {
            const KIND: $crate::config::Kind = $crate::config::Kind::Choice($name::WORDS);

            fn parse(value: &$crate::config::Value) -> Result<$name, $crate::config::Misfit> {
                $crate::config::field::parse_word(value, $name::WORDS, $name::from_word)
            }

            fn value(&self) -> $crate::config::Value {
                $crate::config::Value::from(self.word())
            }

            fn write_canonical(&self, out: &mut Vec<u8>) {
                $crate::config::field::write_bytes(self.word().as_bytes(), out);
            }
        }

        impl $crate::config::Field for Vec<$name> {
            const KIND: $crate::config::Kind = $crate::config::Kind::Choices($name::WORDS);

            fn parse(value: &$crate::config::Value) -> Result<Vec<$name>, $crate::config::Misfit> {
                $crate::config::field::parse_words(value, $name::WORDS, $name::from_word)
            }

            fn value(&self) -> $crate::config::Value {
                $crate::config::Value::List(self.iter().map($crate::config::Field::value).collect())
            }

            fn write_canonical(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&(self.len() as u32).to_le_bytes());
                for choice in self {
                    $crate::config::Field::write_canonical(choice, out);
                }
            }
        }
    };
}
pub(crate) use choices;

/// Declares a [`choices!`] enum whose every word stands for a value of a type of its own behind one trait: a new word is
/// its own file and one line here.
///
/// `typed_choices! { /// doc pub enum Hedge by strategy: Strategy { /// doc None(none::NoHedge) = "none", } }`
macro_rules! typed_choices {
    ($(#[$meta:meta])* pub enum $name:ident by $method:ident: $behaviour:ident { $($(#[$variant_meta:meta])* $variant:ident($value:expr) = $word:literal,)+ }) => {
        $crate::config::declare::choices! {
            $(#[$meta])*
            pub enum $name { $($(#[$variant_meta])* $variant = $word,)+ }
        }

        impl $name {
            /// What the word stands for.
            pub fn $method(self) -> &'static dyn $behaviour {
                match self { $($name::$variant => &$value,)+ }
            }
        }
    };
}
pub(crate) use typed_choices;

/// Declares the keys of a section, or of one kind of a section: the struct, its defaults, how each key is read, written
/// and put into a run's identity, and the table that the schema and the error messages are made of.
///
/// ```text
/// section! {
///     /// Stochastic gradient descent.
///     pub struct Sgd {
///         /// Learning rate.
///         lr: f64 = 1e-2, Range::POSITIVE;
///     }
/// }
/// ```
macro_rules! section {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[doc = $doc:literal])+ $key:ident: $ty:ty = $default:expr, $range:expr;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $($(#[doc = $doc])+ pub $key: $ty,)* }

        impl Default for $name {
            fn default() -> $name {
                $name { $($key: $default,)* }
            }
        }

        impl $crate::config::Keys for $name {
            const SPECS: &'static [$crate::config::KeySpec] = &[$($crate::config::KeySpec {
                name: stringify!($key),
                doc: concat!($($doc, "\n"),+),
                kind: <$ty as $crate::config::Field>::KIND,
                range: $range,
                default: || $crate::config::Field::value(&{ let default: $ty = $default; default }),
            },)*];

            #[allow(unused_variables, reason = "a kind without keys ignores its arguments")]
            fn get(&self, key: &str) -> Option<$crate::config::Value> {
                match key {
                    $(stringify!($key) => Some($crate::config::Field::value(&self.$key)),)*
                    _ => None,
                }
            }

            #[allow(unused_variables, reason = "a kind without keys ignores its arguments")]
            fn set(&mut self, key: &str, value: &$crate::config::Value) -> Option<Result<(), $crate::config::Misfit>> {
                match key {
                    $(stringify!($key) => Some($crate::config::field::assign(&mut self.$key, value, &$range)),)*
                    _ => None,
                }
            }

            #[allow(unused_variables, reason = "a kind without keys ignores its arguments")]
            fn write_canonical(&self, out: &mut Vec<u8>) {
                $(
                    $crate::config::field::write_bytes(stringify!($key).as_bytes(), out);
                    $crate::config::Field::write_canonical(&self.$key, out);
                )*
            }
        }
    };
}
pub(crate) use section;

/// Declares a section whose tag (`kind`, `model`, `cell`) selects one of several types, and the behaviour they share:
/// a new kind is its own file and one line here.
///
/// `kinds! { /// doc pub enum Optimizer by "kind" { Adam(Adam) = "adam", } }`
macro_rules! kinds {
    ($(#[$meta:meta])* pub enum $name:ident by $tag:literal { $($(#[$variant_meta:meta])* $variant:ident($ty:ty) = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name { $($(#[$variant_meta])* $variant($ty),)+ }

        impl $crate::config::Tagged for $name {
            const TAG: &'static str = $tag;
            const KINDS: &'static [(&'static str, &'static [$crate::config::KeySpec])] =
                &[$(($word, <$ty as $crate::config::Keys>::SPECS),)+];

            fn with_kind(word: &str) -> Option<$name> {
                match word { $($word => Some($name::$variant(<$ty>::default())),)+ _ => None }
            }

            fn kind(&self) -> &'static str {
                match self { $($name::$variant(_) => $word,)+ }
            }

            fn keys(&self) -> &dyn $crate::config::KeysDyn {
                match self { $($name::$variant(keys) => keys,)+ }
            }

            fn keys_mut(&mut self) -> &mut dyn $crate::config::KeysDyn {
                match self { $($name::$variant(keys) => keys,)+ }
            }
        }
    };
}
pub(crate) use kinds;
