//! Every library has a licence that lets anybody use the service for anything. deny.toml has the same list.

use super::metadata;

const PERMISSIVE: &[&str] =
    &["0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "ISC", "MIT", "Unicode-3.0", "Unlicense", "Zlib"];

#[test]
fn the_licences_of_all_libraries_are_permissive() {
    let packages = &metadata().packages;
    assert!(packages.len() > 100, "only {} packages were looked at", packages.len());
    let others: Vec<_> = packages
        .iter()
        .filter(|package| !package.license.as_deref().is_some_and(is_permissive))
        .map(|package| format!("{} {}: {:?}", package.name, package.version, package.license))
        .collect();
    assert!(others.is_empty(), "{others:#?}");
}

/// Whether an SPDX expression can be met by permissive licences only. An exception (`WITH`) permits more, never less.
fn is_permissive(expression: &str) -> bool {
    // Old crates write `A/B` for `A OR B`.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let result = any(&mut words);
    result && words.next().is_none()
}

type Words<'a, 'b> = &'b mut std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: Words<'_, '_>) -> bool {
    let mut result = all(words);
    while words.next_if_eq(&"OR").is_some() {
        result |= all(words);
    }
    result
}

fn all(words: Words<'_, '_>) -> bool {
    let mut result = one(words);
    while words.next_if_eq(&"AND").is_some() {
        result &= one(words);
    }
    result
}

fn one(words: Words<'_, '_>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        return any(words) & words.next_if_eq(&")").is_some();
    }
    let result = words.next().is_some_and(|licence| PERMISSIVE.contains(&licence));
    if words.next_if_eq(&"WITH").is_some() {
        words.next();
    }
    result
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    for good in
        ["MIT", "Apache-2.0 / MIT", "MIT OR GPL-3.0", "(MIT OR X) AND ISC", "Apache-2.0 WITH LLVM-exception OR X", "X OR MIT AND ISC"]
    {
        assert!(is_permissive(good), "{good}");
    }
    for bad in ["", "GPL-3.0-or-later", "MIT AND GPL-3.0", "(MIT", "MIT X", "(MIT OR ISC) AND (X OR Y)", "X WITH MIT"] {
        assert!(!is_permissive(bad), "{bad}");
    }
}
