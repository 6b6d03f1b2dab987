//! The bounds of everything on the wire. A message beyond them is refused before it costs anything.

use crate::error::{Problem, WireError};

/// The largest message to a worker, in bytes; to be set as its `max_decoding_message_size`. Grants are the largest.
pub const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// The largest message to the coordinator, in bytes; to be set as its `max_decoding_message_size`. Heartbeats are the
/// largest: one of [`MAX_HELD`] tasks takes 3 MB.
pub const MAX_REQUEST_BYTES: usize = 4 << 20;

/// The largest piece of a stream (a result batch, a blob), in bytes.
pub const MAX_PIECE_BYTES: usize = 1 << 20;

/// The largest encoded result batch that a coordinator accepts unless it says otherwise, in bytes. One run with every
/// sample of a thousand epochs of ten thousand paths takes 80 MB.
pub const MAX_BATCH_BYTES: usize = 256 << 20;

/// The largest blob (initial weights), in bytes.
pub const MAX_BLOB_BYTES: usize = 256 << 20;

/// The longest name of a host, worker, instruction set or version, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// The longest message for people, in bytes; senders [`clip`].
pub const MAX_TEXT_BYTES: usize = 16 << 10;

/// The longest dotted key, in bytes.
pub const MAX_KEY_BYTES: usize = 255;

/// The longest text value of a config, in bytes.
pub const MAX_VALUE_BYTES: usize = 4 << 10;

/// The longest list value of a config.
pub const MAX_LIST_ITEMS: usize = 1024;

/// How deeply lists nest in a value of a config.
pub const MAX_VALUE_DEPTH: usize = 4;

/// How many keys a base or a task sets.
pub const MAX_OVERRIDES: usize = 1024;

/// How many tasks a grant holds.
pub const MAX_GRANT_TASKS: usize = 1 << 16;

/// How many tasks a worker holds, and how many a heartbeat cancels.
pub const MAX_HELD: usize = 1 << 16;

/// How many reports a result batch holds. More than gather while a batch is on its way.
pub const MAX_BATCH_REPORTS: usize = 1 << 14;

/// How many bytes the lists of a result batch may take when they are decoded, beyond the batch's own length. A run with
/// samples of a million epochs takes most of it.
pub const MAX_BATCH_LISTS_BYTES: usize = 128 << 20;

/// How many slots a worker has.
pub const MAX_SLOTS: u32 = 4096;

/// How many entries a curve has: the largest `training.epochs`.
pub const MAX_EPOCHS: usize = 1_000_000;

/// How many points the recorded path has.
pub const MAX_PATH_POINTS: usize = 1 << 20;

/// How many blocks of samples a run has: three sets, one of them every epoch.
pub const MAX_SAMPLES: usize = MAX_EPOCHS + 2;

/// How many paths a block of samples has.
pub const MAX_SAMPLE_PATHS: usize = 1 << 24;

/// Shortens `text` to at most `limit` bytes, at a character's boundary.
pub fn clip(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let end = (0..=limit).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    &text[..end]
}

/// Refuses what is longer than `limit`.
pub(crate) fn at_most(field: &str, length: usize, limit: usize) -> Result<(), WireError> {
    if length > limit { Err(WireError::new(field, Problem::TooLong { length, limit })) } else { Ok(()) }
}

/// Refuses a string longer than `limit` bytes.
pub(crate) fn bounded(field: &str, text: String, limit: usize) -> Result<String, WireError> {
    at_most(field, text.len(), limit)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_keeps_characters_whole() {
        assert_eq!(clip("añb", 2), "a");
        assert_eq!(clip("añb", 3), "añ");
        assert_eq!(clip("añb", 9), "añb");
    }
}
