//! The DAGs that use our servers.

use std::collections::BTreeMap;

use dbt_controller_domain::model::Dag;
use dbt_controller_domain::naming::ReleaseName;
use serde::Deserialize;

use crate::ask::Ask;
use crate::fault::Fault;
use crate::pages::{Page, read_all};
use crate::reply::Reply;
use crate::session::Session;

/// The DAGs of all releases, by id.
pub(crate) async fn all(session: &Session) -> Result<BTreeMap<ReleaseName, Vec<Dag>>, Fault> {
    let mut dags: BTreeMap<ReleaseName, Vec<Dag>> = BTreeMap::new();
    for (id, read) in read_all(session, Ask::Dags, page).await? {
        if let Some(release) = read.description.as_deref().and_then(release) {
            dags.entry(release).or_default().push(Dag { id, paused: read.is_paused.unwrap_or(false) });
        }
    }
    Ok(dags)
}

/// The release that a description names: `Release: <release>`.
fn release(description: &str) -> Option<ReleaseName> {
    description.trim().strip_prefix("Release:")?.trim().parse().ok()
}

#[derive(Deserialize)]
struct List {
    dags: Vec<Read>,
    total_entries: usize,
}

#[derive(Deserialize)]
struct Read {
    dag_id: String,
    description: Option<String>,
    /// Airflow's schema lets it be null; then the DAG may run.
    is_paused: Option<bool>,
}

fn page(reply: &Reply) -> Result<Page<Read>, Fault> {
    let List { dags, total_entries } = reply.json()?;
    Ok(Page { entries: dags.into_iter().map(|read| (read.dag_id.clone(), read)).collect(), total: total_entries })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_names_a_release_or_nothing() {
        let cases = [
            ("Release: dbt-server-a", Some("dbt-server-a")),
            (" Release: dbt-server-a\n", Some("dbt-server-a")),
            ("Release:dbt-server-a", Some("dbt-server-a")),
            ("Release: ", None),
            ("Release: Not_A_Release", None),
            ("Release: a b", None),
            ("release: dbt-server-a", None),
            ("dbt-server-a", None),
            ("", None),
        ];
        for (description, wanted) in cases {
            assert_eq!(release(description).as_ref().map(ReleaseName::as_str), wanted, "{description:?}");
        }
    }
}
