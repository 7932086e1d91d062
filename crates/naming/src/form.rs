//! The forms that a name of an identity can have.

/// A form of a name. Release name and connection id take their forms independently of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameForm {
    /// By the convention, as a person would write it. Where that is impossible (too long, or
    /// nothing is left of the project or of the given branch) the same as [`Hashed`](Self::Hashed).
    Plain,
    /// With the first 8 digits of the hash at the end: for an identity whose plain name is somebody
    /// else's.
    Hashed,
    /// With 16 digits: for an identity whose hashed name, too, is somebody else's.
    LongHashed,
}

impl NameForm {
    /// All forms, the preferred one first.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Hashed, Self::LongHashed];
}

/// The names in all forms, the preferred one first, each once.
pub(crate) fn candidates<N: PartialEq>(name: impl Fn(NameForm) -> N) -> Vec<N> {
    let mut names = NameForm::ALL.map(name).into_iter().collect::<Vec<_>>();
    // Only the first two can be equal, so it is enough to look at neighbours.
    names.dedup();
    names
}
