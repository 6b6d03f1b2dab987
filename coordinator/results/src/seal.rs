//! The seal of a part: a digest of the whole file, inside its own footer.
//!
//! The last of the footer's key-value pairs is `hedgesweep.seal`, and its value `blake3:` and 64 hexadecimal digits: the
//! BLAKE3 digest of the file as it is with zeros for these digits. So the digest covers everything, the data, the footer
//! with the length and the magic at its end, and the place of the seal itself; and the file is Parquet as any other.
//!
//! Both sides treat the footer as bytes. It is written with zeros, which then give way to as many digits, so that no
//! length that the Parquet writer has noted changes; and it is verified before a parser sees it, since what a parser
//! makes of damaged bytes is anybody's guess.

use std::cell::RefCell;
use std::io::{self, Write};
use std::ops::Range;
use std::rc::Rc;

use blake3::Hasher;

use crate::error::StoreError;
use crate::folder::Folder;

/// The key of the footer under which the seal lies.
const KEY: &str = "hedgesweep.seal";

/// What the seal's value begins with.
const SCHEME: &str = "blake3:";

/// Hexadecimal digits of a digest, and zeros in their place while it is computed.
const DIGITS: usize = 2 * blake3::OUT_LEN;
const ZEROS: [u8; DIGITS] = [b'0'; DIGITS];

/// Bytes that are read and hashed at once.
const RANGE: u64 = 1 << 20;

/// The pair that keeps the seal's place while the file is written. It must be the footer's last.
pub(crate) fn placeholder() -> (&'static str, String) {
    (KEY, format!("{SCHEME}{}", "0".repeat(DIGITS)))
}

/// Where the seal's digits lie in a footer.
fn digits(footer: &[u8]) -> Option<Range<usize>> {
    // In Thrift's compact protocol: the key, the header of the field after it (a text), that text's length and the text.
    let value = [0x18, (SCHEME.len() + DIGITS) as u8];
    let before = [KEY.as_bytes(), &value, SCHEME.as_bytes()].concat();
    // Nothing that others may choose, such as a sweep's name, comes behind the seal: of several, the last is the seal.
    let at = footer.windows(before.len()).rposition(|window| window == before)? + before.len();
    (at + DIGITS <= footer.len()).then_some(at..at + DIGITS)
}

/// What has been written so far.
struct Sealing<W> {
    sink: W,
    hasher: Hasher,
    /// The footer, from when it is being written.
    footer: Option<Vec<u8>>,
}

/// The end of a sealed file that the Parquet writer writes to, and keeps.
pub(crate) struct Sink<W>(Rc<RefCell<Sealing<W>>>);

/// The end of a sealed file that puts the seal in.
pub(crate) struct Sealer<W>(Rc<RefCell<Sealing<W>>>);

/// Begins a sealed file in `sink`: everything is written to the one, and the other told when the footer begins and ends.
///
/// In memory is the footer and nothing else, so that files of any size can be sealed as they stream by.
pub(crate) fn sealing<W: Write>(sink: W) -> (Sink<W>, Sealer<W>) {
    let shared = Rc::new(RefCell::new(Sealing { sink, hasher: Hasher::new(), footer: None }));
    (Sink(Rc::clone(&shared)), Sealer(shared))
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Sealing { sink, hasher, footer } = &mut *self.0.borrow_mut();
        match footer {
            Some(footer) => footer.write(bytes),
            None => {
                let written = sink.write(bytes)?;
                hasher.update(&bytes[..written]);
                Ok(written)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().sink.flush()
    }
}

impl<W: Write> Sealer<W> {
    /// Holds back what is written from now on, which must be the footer and may be what lies right before it.
    pub(crate) fn hold_back(&self) {
        self.0.borrow_mut().footer.get_or_insert_default();
    }

    /// Seals what was written, and writes out what was held back.
    pub(crate) fn seal(&self) -> io::Result<()> {
        let Sealing { sink, hasher, footer } = &mut *self.0.borrow_mut();
        let mut footer = footer.take().unwrap_or_default();
        let place = digits(&footer).filter(|place| footer[place.clone()] == ZEROS);
        let place = place.ok_or_else(|| io::Error::other("the footer has no place for the seal"))?;
        hasher.update(&footer);
        footer[place].copy_from_slice(hasher.finalize().to_hex().as_bytes());
        sink.write_all(&footer)?;
        sink.flush()
    }
}

/// Makes sure that the file `key` of `size` bytes, which ends with `footer`, is what was sealed.
///
/// Reads all of it, a range at a time.
///
/// # Errors
/// [`StoreError::Damaged`] if it has no seal or another content.
pub(crate) fn verify(folder: &Folder, key: &str, size: u64, footer: &[u8]) -> Result<(), StoreError> {
    let damaged = |reason: &str| StoreError::damaged(&folder.path(key), reason);
    let Some(place) = digits(footer) else {
        return Err(damaged("carries no seal: it is damaged, or not one of this program's parts"));
    };
    let data = size.saturating_sub(footer.len() as u64);
    let mut hasher = Hasher::new();
    for start in (0..data).step_by(RANGE as usize) {
        let end = data.min(start + RANGE);
        let bytes = folder.read_range(key, start..end)?;
        if bytes.len() as u64 != end - start {
            return Err(damaged("has become shorter while it was read"));
        }
        hasher.update(&bytes);
    }
    hasher.update(&footer[..place.start]).update(&ZEROS).update(&footer[place.end..]);
    // As text, digit by digit: another way to write the same digest is damage too.
    if hasher.finalize().to_hex().as_bytes() != &footer[place] {
        return Err(damaged("is not what was written: its content and its seal do not agree"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::location::Location;
    use crate::parquet;

    /// What a Parquet writer would write last: any description with the seal's place as its last pair.
    fn footer(before: &[u8], after: &[u8]) -> Vec<u8> {
        let (key, value) = placeholder();
        let pair = [&[0x18, KEY.len() as u8], key.as_bytes(), &[0x18, value.len() as u8], value.as_bytes()].concat();
        let thrift = [before, &pair, &[0], after].concat();
        [&thrift[..], &(thrift.len() as u32).to_le_bytes(), b"PAR1"].concat()
    }

    /// Takes a few bytes at a time, as a sink may.
    struct Slow<'a>(&'a mut Vec<u8>);

    impl Write for Slow<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(&bytes[..bytes.len().min(7)])
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Writes data and footer in pieces that end at `cuts`.
    fn sealed(data: &[u8], footer: &[u8], cuts: &[Index]) -> Vec<u8> {
        let mut file = Vec::new();
        let (mut sink, sealer) = sealing(Slow(&mut file));
        let mut write = |bytes: &[u8]| {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            cuts.windows(2).for_each(|piece| sink.write_all(&bytes[piece[0]..piece[1]]).unwrap());
            sink.flush().unwrap();
        };
        write(data);
        sealer.hold_back();
        write(footer);
        sealer.seal().unwrap();
        drop((sink, sealer));
        file
    }

    /// A folder, and what is to be said of a file with some content in it.
    fn judge() -> impl Fn(&[u8]) -> Result<(), String> {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(&Location::folder(place.path())).unwrap();
        move |content| {
            std::fs::write(place.path().join("file"), content).unwrap();
            let size = content.len() as u64;
            let footer = parquet::footer(&folder, "file", size);
            match footer.and_then(|footer| verify(&folder, "file", size, &footer)) {
                Ok(()) => Ok(()),
                Err(StoreError::Damaged { reason, .. }) => Err(reason),
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn however_it_is_written_the_same_file_comes_out_and_no_byte_of_it_can_change() {
        let judge = judge();
        let bytes = |most| proptest::collection::vec(any::<u8>(), 4..most);
        let cuts = proptest::collection::vec(any::<Index>(), 0..9);
        let change = (any::<Index>(), 1_u8..);
        proptest!(|(data in bytes(3000), before in bytes(300), after in bytes(40), cuts in cuts, change in change)| {
            let footer = footer(&before, &after);
            let file = sealed(&data, &footer, &cuts);
            prop_assert_eq!(&file, &sealed(&data, &footer, &[]));
            prop_assert_eq!(file.len(), data.len() + footer.len());
            prop_assert_eq!(judge(&file), Ok(()));
            let mut other = file;
            let at = change.0.index(other.len());
            other[at] ^= change.1;
            prop_assert!(judge(&other).is_err(), "{}", at);
        });
    }

    #[test]
    fn every_byte_around_the_seal_counts() {
        let judge = judge();
        let file = sealed(b"PAR1data", &footer(b"some", b"more"), &[]);
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut other = file.clone();
                other[at] ^= 1 << bit;
                assert!(judge(&other).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn files_of_several_ranges_are_verified_to_the_last_byte() {
        let judge = judge();
        for length in [RANGE - 1, RANGE, RANGE + 1, 3 * RANGE + 5] {
            let mut file = sealed(&vec![7; length as usize], &footer(b"some", b"more"), &[]);
            assert_eq!(judge(&file), Ok(()));
            file[length as usize - 1] ^= 1;
            assert!(judge(&file).unwrap_err().starts_with("is not what was written"));
        }
    }

    #[test]
    fn a_name_that_looks_like_the_seal_is_not_taken_for_it() {
        let judge = judge();
        let fake = footer(b"", b"");
        let file = sealed(b"PAR1", &footer(&fake, b"more"), &[]);
        assert_eq!(judge(&file), Ok(()));
        assert!(file.windows(DIGITS).any(|window| window == ZEROS), "the name is as it was");
    }

    #[test]
    fn a_footer_without_a_place_for_the_seal_is_an_error() {
        let mut file = Vec::new();
        let (mut sink, sealer) = sealing(&mut file);
        sealer.hold_back();
        sink.write_all(b"nothing of the kind PAR1").unwrap();
        assert_eq!(sealer.seal().unwrap_err().to_string(), "the footer has no place for the seal");
        drop((sink, sealer));
        assert!(file.is_empty());
    }

    #[test]
    fn a_file_without_a_seal_is_told_from_one_that_has_changed() {
        let mut file = sealed(b"PAR1", &footer(b"some", b"more"), &[]);
        let key = file.windows(KEY.len()).position(|window| window == KEY.as_bytes()).unwrap();
        file[key] = b'H';
        let reason = judge()(&file).unwrap_err();
        assert!(reason.starts_with("carries no seal"), "{reason}");
    }
}
