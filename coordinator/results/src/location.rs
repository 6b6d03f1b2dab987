//! Where results are kept: a folder of this machine, or a prefix of an S3-compatible bucket.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use object_store::path::Path as Key;

use crate::error::StoreError;

/// Where results are kept: a local folder, or `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    place: Place,
}

/// The kinds of locations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// A folder.
    Folder(PathBuf),
    /// Objects of a bucket.
    Bucket(Bucket),
}

/// The objects of a bucket that have a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bucket {
    /// The bucket's name.
    pub(crate) name: String,
    /// What the keys begin with, without the slash behind it; empty for the whole bucket.
    pub(crate) prefix: Key,
}

impl Location {
    /// A local folder, which need not exist yet.
    pub fn folder(path: impl Into<PathBuf>) -> Location {
        Location { place: Place::Folder(path.into()) }
    }

    /// The folder, if it is one.
    pub fn as_folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Folder(path) => Some(path),
            Place::Bucket(_) => None,
        }
    }

    /// The path of what lies there under a name, or its URL: for people, who paste it into other programs.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.shown().join(name)
    }

    /// Whether two locations are one place, however they are written.
    pub fn is_same(&self, other: &Location) -> bool {
        self.resolved() == other.resolved()
    }

    /// Path or URL, for people.
    pub(crate) fn shown(&self) -> PathBuf {
        match &self.place {
            Place::Folder(path) => path.clone(),
            Place::Bucket(bucket) => PathBuf::from(bucket.to_string()),
        }
    }

    /// What kind of place it is.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The same place as one name for all who mean it; a folder that does not exist has no other name than its own.
    fn resolved(&self) -> Location {
        match &self.place {
            Place::Folder(path) => Location::folder(path.canonicalize().unwrap_or_else(|_| path.clone())),
            Place::Bucket(_) => self.clone(),
        }
    }
}

impl FromStr for Location {
    type Err = StoreError;

    /// A folder, a `file://` URL of one, or `s3://bucket/prefix`; any other scheme is refused.
    fn from_str(text: &str) -> Result<Location, StoreError> {
        match text.split_once("://") {
            None => Ok(Location::folder(text)),
            Some(("file", path)) => Ok(Location::folder(path)),
            Some(("s3", rest)) => {
                let refused = |reason: String| StoreError::Unsupported { location: text.to_owned(), reason };
                Ok(Location { place: Place::Bucket(Bucket::parse(rest).map_err(refused)?) })
            }
            Some((scheme, _)) => {
                let reason = format!("{scheme}:// cannot hold results; give a folder or s3://bucket/prefix");
                Err(StoreError::Unsupported { location: text.to_owned(), reason })
            }
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown().display().fmt(f)
    }
}

impl Bucket {
    /// What stands behind `s3://`; or what is wrong with it.
    fn parse(text: &str) -> Result<Bucket, String> {
        let (name, prefix) = text.split_once('/').unwrap_or((text, ""));
        let is_of_names = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if !(3..=63).contains(&name.len()) || !name.chars().all(is_of_names) {
            return Err(format!(
                "{name:?} is no name of a bucket (3 to 63 letters, digits, dots and hyphens); give s3://bucket/prefix"
            ));
        }
        let prefix = Key::parse(prefix).map_err(|error| format!("{prefix:?} is no prefix of keys: {error}"))?;
        Ok(Bucket { name: name.to_owned(), prefix })
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix.as_ref() {
            "" => write!(f, "s3://{}", self.name),
            prefix => write!(f, "s3://{}/{prefix}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_buckets_are_told_apart() {
        let folder = |text: &str| text.parse::<Location>().unwrap().as_folder().map(Path::to_owned);
        assert_eq!(folder("results/smoke"), Some("results/smoke".into()));
        assert_eq!(folder("file:///a/b"), Some("/a/b".into()));
        assert_eq!(folder("s3://bucket/a/b"), None);
        for (text, shown) in [("s3://bucket/a/b/", "s3://bucket/a/b"), ("s3://my.bucket", "s3://my.bucket")] {
            let location = text.parse::<Location>().unwrap();
            assert_eq!(location.to_string(), shown);
            assert_eq!(location.join("runs.parquet").display().to_string(), format!("{shown}/runs.parquet"));
        }
    }

    #[test]
    fn what_is_neither_is_refused_with_what_is_allowed() {
        for bad in
            ["gs://bucket/x", "s3://", "s3:///x", "s3://b", "s3://buc ket/x", "s3://bucket/a//b", "s3://bucket/../x"]
        {
            let error = bad.parse::<Location>().unwrap_err();
            assert!(matches!(error, StoreError::Unsupported { .. }));
            assert!(error.to_string().starts_with(&format!("{bad}: ")), "{error}");
        }
        let error = "gs://bucket/x".parse::<Location>().unwrap_err();
        assert_eq!(error.to_string(), "gs://bucket/x: gs:// cannot hold results; give a folder or s3://bucket/prefix");
    }

    #[test]
    fn one_place_has_several_names() {
        let place = tempfile::tempdir().unwrap();
        let plain = Location::folder(place.path());
        assert!(plain.is_same(&Location::folder(place.path().join("."))));
        assert!(!plain.is_same(&Location::folder(place.path().join("other"))));
        let bucket = |text: &str| text.parse::<Location>().unwrap();
        assert!(bucket("s3://bucket/a").is_same(&bucket("s3://bucket/a/")));
        assert!(!bucket("s3://bucket/a").is_same(&bucket("s3://bucket/b")));
    }
}
