//! Why a text is refused as a name.

use std::fmt;

/// Why a text is refused as a name.
///
/// The messages read well after the field's name and a colon, and never repeat the whole value: it
/// may be long, or a secret that somebody put into the wrong field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameError {
    /// There are no characters.
    Empty,
    /// There are too many characters.
    TooLong {
        /// How many are allowed.
        max: usize,
        /// How many there are.
        actual: usize,
    },
    /// One character may not be used here.
    Character {
        /// The first such character.
        character: char,
        /// Where it is, counted in characters from 1.
        position: usize,
        /// What is asked of every character, as a clause to be shown: "may contain only …".
        rule: &'static str,
    },
    /// A release name, or a part of it between dots, is empty or has a dash at one of its ends.
    Edge,
    /// A connection id is `.` or `..`, which in a URL means another resource.
    Dots,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("must not be empty"),
            Self::TooLong { max, actual } => {
                write!(f, "must have at most {max} characters, but has {actual}")
            }
            Self::Character { character, position, rule } => {
                write!(f, "{rule}, but character {position} is {}", Shown(*character))
            }
            Self::Edge => f.write_str("must begin and end with a letter or digit, and so must each part between dots"),
            Self::Dots => f.write_str("must not be `.` or `..`, which have a meaning of their own in a URL"),
        }
    }
}

impl std::error::Error for NameError {}

/// A character as a message can carry it: itself if everybody can see it, else its code point. Line
/// breaks, invisible characters and those that turn the direction of writing would make the message
/// unreadable.
struct Shown(char);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ' ' => f.write_str("a space"),
            '`' => f.write_str("a backtick"),
            visible if visible.is_ascii_graphic() => write!(f, "`{visible}`"),
            other => write!(f, "U+{:04X}", u32::from(other)),
        }
    }
}
