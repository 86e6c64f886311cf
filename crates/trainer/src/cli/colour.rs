//! Colours in a terminal, where there is one and `NO_COLOR` does not forbid them.

use std::env;

/// A colour of the terminal's own palette.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour(u8);

impl Colour {
    /// Of what is above its limit, and of limits.
    pub const RED: Self = Self(31);
    /// Of what is within its limit.
    pub const GREEN: Self = Self(32);
    /// Of what stands in the background.
    pub const GREY: Self = Self(90);
    /// Of curves, in their order.
    const CURVES: [Self; 6] = [Self(36), Self(33), Self(35), Self(32), Self(94), Self(37)];

    /// The colour of curve `index`.
    pub fn of_curve(index: usize) -> Self {
        Self::CURVES[index % Self::CURVES.len()]
    }

    /// The colour of a cost beside its limit.
    pub fn of_cost(cost: f64, limit: f64) -> Option<Self> {
        match cost.partial_cmp(&limit)? {
            std::cmp::Ordering::Greater => Some(Self::RED),
            _ => Some(Self::GREEN),
        }
    }
}

/// Whether colours are wanted on a stream that is, or is no, terminal.
pub fn wanted(terminal: bool) -> bool {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    terminal && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

/// `text` in a colour, or as it is.
pub fn painted(text: &str, colour: Option<Colour>) -> String {
    match colour {
        Some(Colour(code)) => format!("\x1b[{code}m{text}\x1b[0m"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_red_above_its_limit_and_green_within() {
        assert_eq!(Colour::of_cost(25.1, 25.0), Some(Colour::RED));
        assert_eq!(Colour::of_cost(25.0, 25.0), Some(Colour::GREEN));
        assert_eq!(Colour::of_cost(f64::NAN, 25.0), None);
        assert_eq!(painted("7", Some(Colour::RED)), "\x1b[31m7\x1b[0m");
        assert_eq!(painted("7", None), "7");
        assert!(!wanted(false));
    }
}
