//! Pages of a list: `limit`, and `continue` as an opaque token.
//!
//! The token names the last deployment of the page before, so a page is right also when deployments came and went in between.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dbt_controller_domain::model::{ReleaseKey, ReleaseSummary};

use std::sync::Arc;

/// The most deployments that a page may be asked for.
pub(crate) const MAX_LIMIT: usize = 1000;

/// Says what is in a token, so that its form can change later without being misread.
const TOKEN_PREFIX: &str = "after:";

/// The part of a list that is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// At most this many; none is all.
    pub(crate) limit: Option<usize>,
    /// Only those after this one.
    pub(crate) after: Option<ReleaseKey>,
}

impl Page {
    /// The page of a list that is sorted by namespace and name, and the token of the next page if there is one.
    pub(crate) fn of(&self, mut list: Vec<Arc<ReleaseSummary>>) -> (Vec<Arc<ReleaseSummary>>, Option<String>) {
        if let Some(after) = &self.after {
            let start = list.partition_point(|release| release.key <= *after);
            list.drain(..start);
        }
        let Some(limit) = self.limit.filter(|limit| list.len() > *limit) else { return (list, None) };
        list.truncate(limit);
        let token = list.last().map(|last| token_of(&last.key));
        (list, token)
    }
}

/// The token of the page that begins after this deployment.
fn token_of(last: &ReleaseKey) -> String {
    URL_SAFE_NO_PAD.encode(format!("{TOKEN_PREFIX}{last}"))
}

/// What a token means, if it is one of ours.
pub(crate) fn parse_token(token: &str) -> Option<ReleaseKey> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (namespace, name) = text.strip_prefix(TOKEN_PREFIX)?.split_once('/')?;
    Some(ReleaseKey { namespace: namespace.parse().ok()?, name: name.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_the_last_deployment_and_nothing_else_is_a_token() {
        let key = ReleaseKey { namespace: "data".parse().unwrap(), name: "dbt-server-a.b".parse().unwrap() };
        assert_eq!(parse_token(&token_of(&key)), Some(key));
        for bad in [
            "",
            "x",
            "YWZ0ZXI6",
            "!!",
            &URL_SAFE_NO_PAD.encode("after:a"),
            &URL_SAFE_NO_PAD.encode("after:A/b"),
            &URL_SAFE_NO_PAD.encode([255]),
        ] {
            assert_eq!(parse_token(bad), None, "{bad}");
        }
    }
}
