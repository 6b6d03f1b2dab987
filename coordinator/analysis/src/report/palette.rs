//! How arms look: a colour, a dash and a marker each, so that none of them has to be told by its colour alone.
//!
//! The colours are those of Okabe and Ito (2008), without the yellow, which cannot be seen on white. The style sheet has them
//! in two tones, for light and for dark pages.

/// Number of colours.
pub(super) const COLOURS: usize = 7;

/// Lengths of strokes and gaps.
const DASHES: [&str; 5] = ["", "7 3", "2 3", "8 3 2 3", "12 3"];

/// The shape of a data point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    Cross,
    Down,
    Plus,
}

impl Marker {
    /// The corners of its outline, about one away from its middle; none for the circle.
    pub(super) fn outline(self) -> &'static [(f64, f64)] {
        match self {
            Marker::Circle => &[],
            Marker::Square => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            Marker::Triangle => &[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
            Marker::Down => &[(0.0, 1.2), (1.1, -0.8), (-1.1, -0.8)],
            Marker::Diamond => &[(0.0, -1.3), (1.1, 0.0), (0.0, 1.3), (-1.1, 0.0)],
            Marker::Plus => &[
                (-0.4, -1.2),
                (0.4, -1.2),
                (0.4, -0.4),
                (1.2, -0.4),
                (1.2, 0.4),
                (0.4, 0.4),
                (0.4, 1.2),
                (-0.4, 1.2),
                (-0.4, 0.4),
                (-1.2, 0.4),
                (-1.2, -0.4),
                (-0.4, -0.4),
            ],
            // The plus, turned by an eighth.
            Marker::Cross => &[
                (0.57, -1.13),
                (1.13, -0.57),
                (0.57, 0.0),
                (1.13, 0.57),
                (0.57, 1.13),
                (0.0, 0.57),
                (-0.57, 1.13),
                (-1.13, 0.57),
                (-0.57, 0.0),
                (-1.13, -0.57),
                (-0.57, -1.13),
                (0.0, -0.57),
            ],
        }
    }
}

const MARKERS: [Marker; 7] =
    [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond, Marker::Cross, Marker::Down, Marker::Plus];

/// The look of an arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look(usize);

impl Look {
    /// The look of the arm at a place in the order of arms. The first thirty-five differ in colour or dash.
    pub(super) fn of(place: usize) -> Look {
        Look(place)
    }

    /// The class of the style sheet that has the colour.
    pub(super) fn class(self) -> String {
        format!("s{}", self.0 % COLOURS)
    }

    /// The stroke's dashes, as SVG has them; empty for a solid stroke.
    pub(super) fn dashes(self) -> &'static str {
        // A second round through the colours goes on with other dashes.
        DASHES[(self.0 + self.0 / COLOURS) % DASHES.len()]
    }

    /// The marker.
    pub(super) fn marker(self) -> Marker {
        MARKERS[(self.0 + self.0 / COLOURS) % MARKERS.len()]
    }
}

/// Viridis (van der Walt and Smith 2015), which rises in lightness for all kinds of sight, at eleven places.
const VIRIDIS: [[u8; 3]; 11] = [
    [68, 1, 84],
    [72, 36, 117],
    [65, 68, 135],
    [53, 95, 141],
    [42, 120, 142],
    [33, 145, 140],
    [34, 168, 132],
    [66, 190, 113],
    [122, 209, 81],
    [189, 223, 38],
    [253, 231, 37],
];

/// The colour of a share between 0 and 1, and whether dark text is to be read on it.
pub(super) fn sequential(share: f64) -> (String, bool) {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let place = share * (VIRIDIS.len() - 1) as f64;
    let left = (place.floor() as usize).min(VIRIDIS.len() - 2);
    let part = place - left as f64;
    let mix = |channel: usize| {
        let (from, to) = (f64::from(VIRIDIS[left][channel]), f64::from(VIRIDIS[left + 1][channel]));
        (from + part * (to - from)).round() as u8
    };
    let [red, green, blue] = [0, 1, 2].map(mix);
    (format!("#{red:02x}{green:02x}{blue:02x}"), luminance([red, green, blue]) > 0.18)
}

/// Relative luminance by WCAG 2: above 0.18 black has the higher contrast.
fn luminance(colour: [u8; 3]) -> f64 {
    let linear = |channel: u8| {
        let share = f64::from(channel) / 255.0;
        if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn thirty_five_arms_look_different_without_their_markers() {
        let looks: HashSet<_> = (0..35).map(|place| (Look::of(place).class(), Look::of(place).dashes())).collect();
        assert_eq!(looks.len(), 35);
    }

    #[test]
    fn neighbours_differ_in_colour_dash_and_marker() {
        for place in 0..34 {
            let (left, right) = (Look::of(place), Look::of(place + 1));
            assert_ne!(left.class(), right.class());
            assert_ne!(left.dashes(), right.dashes(), "{place}");
            assert_ne!(left.marker(), right.marker());
        }
    }

    #[test]
    fn text_on_a_colour_has_contrast() {
        for step in 0..=100 {
            let share = f64::from(step) / 100.0;
            let (colour, dark_text) = sequential(share);
            let channel = |at: usize| u8::from_str_radix(&colour[at..at + 2], 16).unwrap();
            let light = luminance([channel(1), channel(3), channel(5)]);
            let contrast = if dark_text { (light + 0.05) / 0.05 } else { 1.05 / (light + 0.05) };
            assert!(contrast >= 4.5, "{share}: {contrast}");
        }
    }
}
