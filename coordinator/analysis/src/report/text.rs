//! How wide text will be. The page takes whatever sans-serif face a reader's system has, so widths are those of the widest of the
//! usual ones, DejaVu Sans, and a layout that has room for them has room for all.

/// Width of a character as a share of the font's size.
fn advance(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | '\'' | '|' => 0.31,
        ' ' | '.' | ',' | ':' | ';' | '·' => 0.34,
        '-' | '!' | 'f' | 't' | '(' | ')' | '[' | ']' | '/' | 'I' => 0.40,
        'r' | 's' | 'c' | 'J' | 'z' | '_' | '*' => 0.56,
        '⁰'..='⁹' | '⁻' | '²' | '³' | '¹' => 0.45,
        'm' | 'w' | 'M' | 'W' | '%' | '@' | '…' => 1.0,
        '=' | '+' | '<' | '>' | '−' | '×' | '±' | '~' | '∞' => 0.84,
        'A'..='Z' | '&' => 0.78,
        character if character.is_ascii() => 0.64,
        'α'..='ω' => 0.66,
        // Anything else may be a full-width character.
        _ => 1.0,
    }
}

/// The width of a text at a font size, in the same units; not less than it will be.
pub(super) fn width(text: &str, size: f64) -> f64 {
    size * text.chars().map(advance).sum::<f64>()
}

/// The text, cut with an ellipsis to fit into a width.
pub(super) fn fitted(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut left = room - width("…", size);
    let mut cut = String::new();
    for character in text.chars() {
        left -= size * advance(character);
        if left < 0.0 {
            break;
        }
        cut.push(character);
    }
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_cut_fits() {
        let text = "market.xi=0.3, market.rho=-0.7, costs.rate=0.001";
        for room in [20.0, 60.0, 150.0] {
            let cut = fitted(text, 12.0, room);
            assert!(width(&cut, 12.0) <= room && cut.ends_with('…'), "{cut}");
        }
        assert_eq!(fitted(text, 12.0, 1000.0), text);
    }
}
