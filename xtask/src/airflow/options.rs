//! How one Airflow is to be started.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::kind::Kind;
use super::settings::Variables;

#[cfg(test)]
mod tests;

/// What can be chosen.
#[derive(Debug)]
pub(super) struct Options {
    /// Which Airflow.
    pub(super) kind: Kind,
    /// Its port on loopback, or a free one.
    pub(super) port: Option<u16>,
    /// The files with its certificate and key, if it is to serve TLS.
    pub(super) tls: Option<(PathBuf, PathBuf)>,
    /// What its address has after the port: nothing, or `/` and a path.
    pub(super) base_path: String,
    /// The home of another one that is stopped, to go on where that one ended; else a copy of the prepared one.
    pub(super) home: Option<PathBuf>,
    /// Further environment variables.
    pub(super) variables: Variables,
}

impl Options {
    /// A server like all others.
    pub(super) fn of(kind: Kind) -> Self {
        Self { kind, port: None, tls: None, base_path: String::new(), home: None, variables: Variables::new() }
    }

    /// Reads `NAME=VALUE` words. The names of options are taken out; all others are environment variables.
    pub(super) fn parse(words: &[String], default: Kind) -> anyhow::Result<Self> {
        let mut options = Self::of(default);
        let (mut certificate, mut key) = (None, None);
        for word in words {
            let (name, value) = word.split_once('=').with_context(|| format!("`{word}` is not NAME=VALUE"))?;
            match name {
                "KIND" => options.kind = Kind::parse(value).with_context(|| format!("KIND is `{value}`, not 2, 3 or 3-fab"))?,
                "PORT" => options.port = Some(value.parse().with_context(|| format!("PORT is `{value}`"))?),
                "TLS_CERT" => certificate = Some(path(name, value)?),
                "TLS_KEY" => key = Some(path(name, value)?),
                "BASE_PATH" if value.is_empty() || value.starts_with('/') => value.trim_end_matches('/').clone_into(&mut options.base_path),
                "BASE_PATH" => bail!("BASE_PATH is `{value}`, which does not begin with a slash"),
                "HOME" => options.home = Some(path(name, value)?),
                _ => options.variables.push((name.to_owned(), value.to_owned())),
            }
        }
        options.tls = match (certificate, key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate, key)),
            _ => bail!("TLS_CERT and TLS_KEY belong together"),
        };
        Ok(options)
    }
}

/// A path that is there, and is the same in every folder.
fn path(name: &str, value: &str) -> anyhow::Result<PathBuf> {
    std::fs::canonicalize(value).with_context(|| format!("{name} is `{value}`"))
}
