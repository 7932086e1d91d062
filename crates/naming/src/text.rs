//! What all names have in common: checks, and the traits of a text that cannot change.

use crate::NameError;

/// The traits of a newtype over `String` that was made or checked already.
macro_rules! text {
    ($name:ident) => {
        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                // `pad` and not `write_str`, so that `{:<53}` makes a column.
                f.pad(&self.0)
            }
        }

        impl ::std::convert::AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl ::std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl ::std::convert::From<$name> for ::std::string::String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}
pub(crate) use text;

/// The doors into a newtype over `String`, both guarded by its own `check(&str) -> Result<(),
/// NameError>`.
macro_rules! checked_text {
    ($name:ident) => {
        $crate::text::text!($name);

        impl ::std::str::FromStr for $name {
            type Err = $crate::NameError;

            fn from_str(value: &str) -> Result<Self, Self::Err> {
                Self::check(value)?;
                Ok(Self(value.to_owned()))
            }
        }

        impl ::std::convert::TryFrom<::std::string::String> for $name {
            type Error = $crate::NameError;

            fn try_from(value: ::std::string::String) -> Result<Self, Self::Error> {
                Self::check(&value)?;
                Ok(Self(value))
            }
        }
    };
}
pub(crate) use checked_text;

/// At least one and at most `max` characters (Unicode scalar values, not bytes).
pub(crate) fn check_length(value: &str, max: usize) -> Result<(), NameError> {
    match value.chars().count() {
        0 => Err(NameError::Empty),
        actual if actual > max => Err(NameError::TooLong { max, actual }),
        _ => Ok(()),
    }
}

/// Every character is allowed; `rule` says in words what `allowed` decides.
pub(crate) fn check_characters(value: &str, allowed: fn(char) -> bool, rule: &'static str) -> Result<(), NameError> {
    match value.chars().zip(1..).find(|(character, _)| !allowed(*character)) {
        Some((character, position)) => Err(NameError::Character { character, position, rule }),
        None => Ok(()),
    }
}
