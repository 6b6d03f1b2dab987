//! What a visitor shows: the token in a header, in a cookie that stands for it, or typed into the page that asks for it.

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};
use worker::credentials::Token;

/// What the cookie's secret is for: it lets its holder look, and do nothing else.
const PURPOSE: &str = "hedgesweep 2026 a dashboard's cookie";

/// How long a browser keeps the cookie, in seconds: a month.
const COOKIE_AGE_S: u32 = 30 * 24 * 3600;

/// The field that a token is typed into, and its name in a link.
pub(super) const FIELD: &str = "token";

/// Who may pass.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    token: Token,
    cookie_name: String,
    /// The cookie is for encrypted connections alone.
    secure: bool,
}

impl Pass {
    /// For the dashboard at a port. Cookies are not told apart by port, so their name tells it.
    pub(super) fn new(token: Token, port: u16, secure: bool) -> Pass {
        Pass { token, cookie_name: format!("hedgesweep-{port}"), secure }
    }

    /// Whether a request shows the token, or the cookie that stands for it.
    pub(super) fn is_shown(&self, headers: &HeaderMap) -> bool {
        let by_header = headers.get(AUTHORIZATION).is_some_and(|header| self.token.is_in(header.as_bytes()));
        // All of them are looked at: where in the list it stands need not be told by time either.
        let cookies = headers.get_all(COOKIE).iter().flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
        let by_cookie = cookies.fold(false, |shown, cookie| shown | self.is_cookie(cookie.trim_ascii()));
        by_header | by_cookie
    }

    /// Whether a query or a form, as browsers encode them, has the token.
    pub(super) fn is_in_form(&self, form: &[u8]) -> bool {
        tokens(form).fold(false, |found, token| found | self.token.is(token.trim_ascii()))
    }

    /// The cookie to set for who has shown the token. Scripts cannot read it. Of other sites' pages, only links that are followed
    /// have it sent (Lax): a link with the token, in a mail that a browser shows, has to lead to the page and not to the form.
    pub(super) fn cookie(&self) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!(
            "{}={}; Path=/; Max-Age={COOKIE_AGE_S}; HttpOnly; SameSite=Lax{secure}",
            self.cookie_name,
            self.secret()
        )
    }

    fn is_cookie(&self, cookie: &[u8]) -> bool {
        let value = cookie.strip_prefix(self.cookie_name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        // Hashes are compared in constant time.
        value.is_some_and(|value| blake3::hash(value) == blake3::hash(self.secret().as_bytes()))
    }

    fn secret(&self) -> String {
        blake3::Hash::from(self.token.derived(PURPOSE)).to_hex().to_string()
    }
}

/// Whether a query has a token, be it the right one or not.
pub(super) fn has_token(query: &[u8]) -> bool {
    tokens(query).next().is_some()
}

/// The tokens in a query or a form, as browsers encode them.
fn tokens(form: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    form.split(|byte| *byte == b'&').filter_map(|field| {
        let value = field.strip_prefix(FIELD.as_bytes())?.strip_prefix(b"=")?;
        Some(decoded(value))
    })
}

/// A value of a form: `+` is a blank, `%2B` a plus. What is no escape stays as it is.
fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        match (first, behind) {
            (b'+', _) => plain.push(b' '),
            (b'%', [high, low, ..]) if digit(*high).is_some() && digit(*low).is_some() => {
                plain.push(digit(*high).unwrap_or(0) << 4 | digit(*low).unwrap_or(0));
                rest = &behind[2..];
            }
            _ => plain.push(first),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn pass(port: u16) -> Pass {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("token");
        std::fs::write(&path, "s3cret+and/&=%more\n").unwrap();
        Pass::new(Token::read(&path).unwrap(), port, true)
    }

    fn shows(pass: &Pass, name: axum::http::HeaderName, value: &str) -> bool {
        pass.is_shown(&HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())]))
    }

    #[test]
    fn the_token_passes_in_a_header_and_in_a_form() {
        let pass = pass(80);
        assert!(shows(&pass, AUTHORIZATION, "Bearer s3cret+and/&=%more"));
        assert!(!shows(&pass, AUTHORIZATION, "Bearer s3cret+and/&=%mor"));
        assert!(!pass.is_shown(&HeaderMap::new()));
        for form in ["token=s3cret%2Band%2F%26%3D%25more", "a=b&token=s3cret%2Band/%26=%25more%0A"] {
            assert!(pass.is_in_form(form.as_bytes()), "{form}");
        }
        for form in ["", "token", "token=", "token=s3cret+and/&=%more", "other=s3cret%2Band%2F%26%3D%25more", "token=%"]
        {
            assert!(!pass.is_in_form(form.as_bytes()), "{form}");
        }
        for (query, has) in
            [("token=", true), ("a=b&token=x", true), ("", false), ("token", false), ("tokens=x", false)]
        {
            assert_eq!(has_token(query.as_bytes()), has, "{query}");
        }
    }

    #[test]
    fn the_cookie_stands_for_the_token_and_does_not_tell_it() {
        let pass = pass(80);
        let cookie = pass.cookie();
        assert!(cookie.ends_with("; HttpOnly; SameSite=Lax; Secure") && !cookie.contains("s3cret"), "{cookie}");
        let (own, _) = cookie.split_once(';').unwrap();
        assert!(shows(&pass, COOKIE, own) && shows(&pass, COOKIE, &format!("a=b; {own}; c=d")));
        assert!(!shows(&pass, COOKIE, &own[..own.len() - 1]) && !shows(&pass, COOKIE, "hedgesweep-80="));
        assert!(!shows(&self::pass(81), COOKIE, own), "another port's");
        assert!(!shows(&pass, AUTHORIZATION, &format!("Bearer {}", own.split_once('=').unwrap().1)), "no worker's");
    }
}
