//! The bearer token that tells workers from strangers.

use std::fmt;
use std::path::Path;

use tonic::metadata::{Ascii, MetadataValue};

use super::{CredentialError, file};

/// The shortest token, in bytes: 16 hexadecimal digits are 64 bits.
const SHORTEST: usize = 16;

/// The longest token, in bytes.
const LONGEST: usize = 512;

/// What stands before the token in the header.
const SCHEME: &str = "Bearer ";

/// A shared secret. It is compared in constant time and never shown.
#[derive(Clone)]
pub struct Token {
    digest: blake3::Hash,
    header: MetadataValue<Ascii>,
}

impl Token {
    /// The header, in lower case, that carries the token.
    pub const HEADER: &str = "authorization";

    /// Reads a token from a file: 16 to 512 visible ASCII characters, with white space around them or not.
    ///
    /// # Errors
    /// If the file cannot be read or holds something else. The error says nothing of the content.
    pub fn read(path: &Path) -> Result<Token, CredentialError> {
        // White space around it is not counted.
        let content = file::read_secret(path, "token", 2 * LONGEST as u64)?;
        let unusable = |problem: String| CredentialError::Unusable { path: path.to_owned(), problem };
        let token = content.trim_ascii();
        if !(SHORTEST..=LONGEST).contains(&token.len()) {
            let length = token.len();
            return Err(unusable(format!("a token of {length} characters; allowed: {SHORTEST} to {LONGEST}")));
        }
        let text = std::str::from_utf8(token).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
        let text =
            text.ok_or_else(|| unusable("a token is letters, digits and punctuation, in one word".to_owned()))?;
        Ok(Token::of(text))
    }

    fn of(text: &str) -> Token {
        let header = format!("{SCHEME}{text}");
        let mut header: MetadataValue<Ascii> = header.parse().expect("visible ASCII is fit for a header");
        // So that header compression does not keep it.
        header.set_sensitive(true);
        Token { digest: blake3::hash(text.as_bytes()), header }
    }

    /// The header's value.
    pub fn header(&self) -> MetadataValue<Ascii> {
        self.header.clone()
    }

    /// Whether this is the token. How long it takes says nothing of how much of it was right, as with [`Token::is_in`].
    pub fn is(&self, token: &[u8]) -> bool {
        blake3::hash(token) == self.digest
    }

    /// A secret that whoever has the token can be given in its stead, and from which the token cannot be told; another one for
    /// every purpose.
    pub fn derived(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(purpose, self.digest.as_bytes())
    }

    /// Whether a header's value carries this token. How long this takes says nothing of how much of it was right: digests
    /// are compared, and they in constant time.
    pub fn is_in(&self, header: &[u8]) -> bool {
        let Some((scheme, token)) = header.split_at_checked(SCHEME.len()) else { return false };
        let digest = blake3::hash(token);
        scheme.eq_ignore_ascii_case(SCHEME.as_bytes()) & (digest == self.digest)
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Token) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: impl AsRef<[u8]>) -> Result<Token, String> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("token");
        std::fs::write(&path, content).unwrap();
        Token::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_knows_its_header_and_no_other() {
        let token = read("  0123456789abcdef\n").unwrap();
        assert!(token.is_in(token.header().as_bytes()));
        assert!(token.is(b"0123456789abcdef") && !token.is(b"0123456789abcdeF") && !token.is(b""));
        assert_eq!(token.derived("a"), token.clone().derived("a"));
        assert_ne!(token.derived("a"), token.derived("b"));
        assert!(token.is_in(b"bearer 0123456789abcdef"), "the scheme's case does not matter");
        for other in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef ",
            "Bearer 0123456789abcdeF",
            "Bearer 0123456789abcdef0",
            "Basic  0123456789abcdef",
            "0123456789abcdef",
        ] {
            assert!(!token.is_in(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_repeated() {
        for (content, problem) in [
            (&b""[..], "a token of 0 characters; allowed: 16 to 512"),
            (b"secretsecret\n", "a token of 12 characters"),
            (&[b'x'; 513], "a token of 513 characters"),
            (b"secret secret secret", "in one word"),
            ("geheimgeheimgeheimü".as_bytes(), "letters, digits and punctuation"),
            (&[0xff; 20], "letters, digits and punctuation"),
            (&[b'x'; 2000], "longer than 1024 bytes, which no token is"),
        ] {
            let error = read(content).unwrap_err();
            assert!(error.contains(problem), "{error}");
            assert!(!error.contains("secret") && !error.contains("geheim"), "{error}");
        }
        let missing = Token::read(Path::new("/nowhere/token")).unwrap_err().to_string();
        assert!(missing.starts_with("/nowhere/token: "), "{missing}");
    }

    #[test]
    fn a_token_is_not_shown() {
        let token = read("0123456789abcdef").unwrap();
        assert_eq!(format!("{token:?} {:?}", Some(&token)), "Token(…) Some(Token(…))");
        assert!(!format!("{:?}", token.header()).contains("0123"));
    }
}
