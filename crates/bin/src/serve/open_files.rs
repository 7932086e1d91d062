//! How many files this process may have open: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the service needs beside its callers' connections: those to the API server and to Airflow, and what a helm program takes.
const OWN: u64 = 128;

/// Raises the limit as far as the process may, and warns when callers can take all of it.
pub(super) fn raise_limit(max_connections: u16) {
    let limit = raise();
    if !is_enough(limit, max_connections) {
        tracing::warn!(
            open_files = limit,
            max_connections,
            "callers may take all files that the process may have open, and then it reaches neither the cluster nor Airflow: lower MAX_CONNECTIONS, or raise the hard limit of open files"
        );
    }
}

/// Raises the soft limit to the hard one. Returns what it is then; none where there is no limit.
fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "the limit of open files cannot be raised");
            current
        }
    }
}

fn is_enough(limit: Option<u64>, max_connections: u16) -> bool {
    limit.is_none_or(|limit| u64::from(max_connections) + OWN <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_it_may() {
        let Rlimit { current: _, maximum } = getrlimit(Resource::Nofile);
        let lower = maximum.map_or(512, |maximum| maximum.min(512));
        setrlimit(Resource::Nofile, Rlimit { current: Some(lower), maximum }).unwrap();
        assert_eq!(raise(), maximum);
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }

    #[test]
    fn callers_may_not_take_what_the_service_needs() {
        for (limit, max_connections, is_told_enough) in
            [(Some(1024), 1024, false), (Some(1024), 896, true), (Some(1024), 897, false), (None, u16::MAX, true)]
        {
            assert_eq!(is_enough(limit, max_connections), is_told_enough, "{max_connections} of {limit:?}");
        }
    }
}
