//! What has to hold of whatever a world shows when it is at rest, with the reason for each.

use std::collections::BTreeMap;

use dbt_controller_domain::model::{OperationRecord, ReleaseKey, ReleaseStatus};
use secrecy::ExposeSecret as _;

use super::sight::{Row, Seen, Sight};

/// A part of a deployment, for which there can be an excuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Record,
    Objects,
    Server,
    Claims,
    Connection,
}

impl Part {
    pub(super) const ALL: [Self; 5] = [Self::Record, Self::Objects, Self::Server, Self::Claims, Self::Connection];
}

/// Names and identities are owned once over all managed namespaces (design, "Names"). A second server of an identity would get half of
/// its calls; a name that is used twice makes `{name}` ambiguous.
pub(super) fn owned_once(sight: &Sight) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut identities = BTreeMap::new();
    let mut names = BTreeMap::new();
    for (key, seen) in sight.all_present() {
        if let Some(other) = seen.summary.identity().and_then(|identity| identities.insert(identity.to_string(), key)) {
            wrong.push(format!("one identity has two deployments: {other} and {key}"));
        }
        if let Some(other) = names.insert(&key.name, key) {
            wrong.push(format!("one name is used twice: {other} and {key}"));
        }
    }
    wrong
}

/// What is not as it should be under one key, at rest and with everything up.
pub(super) fn of_key(sight: &Sight, key: &ReleaseKey) -> Vec<(Part, String)> {
    let mut wrong = Vec::new();
    let mut note = |part, what: String| wrong.push((part, format!("{key}: {what}")));
    match sight.present(key) {
        None => nothing_left(sight, key, &mut note),
        Some(seen) => {
            history(seen, &mut note);
            if let Some(in_force) = &seen.in_force {
                if in_force.summary.deployment.is_none() {
                    note(Part::Record, "what is in force is no deployment".to_owned());
                }
                if !seen.missing.is_empty() {
                    note(Part::Objects, format!("objects are not as they were applied: {:?}", seen.missing));
                }
                server(sight, key, &mut note);
                claims(sight, key, seen, &mut note);
                connection(sight, key, seen, &mut note);
            }
        }
    }
    wrong
}

/// A delete, and the undo of a first deploy, leave no trace: whatever is left would be found by the next owner of the name.
fn nothing_left(sight: &Sight, key: &ReleaseKey, note: &mut impl FnMut(Part, String)) {
    if let Some(objects) = sight.objects.get(key) {
        note(Part::Objects, format!("there is no release, but {objects:?}"));
    }
    let server = Sight::server_of(key);
    if let Some(seen) = sight.servers.get(&server).filter(|seen| seen.replicas.is_some() || seen.pods > 0) {
        note(Part::Server, format!("there is no release, but {seen:?}"));
    }
    if let Some(claims) = sight.claims.get(&server) {
        note(Part::Claims, format!("there is no release, but claims {:?}", claims.iter().map(|claim| &claim.name).collect::<Vec<_>>()));
    }
    for connection in sight.connections_of(key) {
        note(Part::Connection, format!("there is no release, but connection `{}`", connection.stored.id));
    }
}

/// The record protocol (design, "Helm releases"): exactly one revision is `deployed`, what comes after it failed before it was applied,
/// nothing stays pending, numbers go up, and the history is cut at 10, never the deployed one. Helm reads the same records.
fn history(seen: &Seen, note: &mut impl FnMut(Part, String)) {
    let rows = || seen.history.iter().map(|row| format!("{} {}", row.revision, row.status)).collect::<Vec<_>>().join(", ");
    let deployed: Vec<_> = seen.history.iter().filter(|row| row.status == ReleaseStatus::Deployed).collect();
    let [in_force] = deployed.as_slice() else {
        note(Part::Record, format!("not exactly one revision is in force: {}", rows()));
        return;
    };
    // What was uninstalled with `--keep-history` stays in the history of the next installation.
    let is_over = |status| matches!(status, ReleaseStatus::Superseded | ReleaseStatus::Failed | ReleaseStatus::Uninstalled);
    // Somebody overtook it, so it is dead. Our next revision calls it failed; Helm looks at the newest one only.
    let is_dead = |row: &Row| {
        row.status.is_under_way() && seen.history.iter().all(|later| later.revision <= row.revision || later.operation.is_none())
    };
    let fits = seen.history.iter().all(|row| match row.revision.cmp(&in_force.revision) {
        std::cmp::Ordering::Less => is_over(row.status) || is_dead(row),
        std::cmp::Ordering::Equal => true,
        std::cmp::Ordering::Greater => row.status == ReleaseStatus::Failed,
    });
    let ascends = seen.history.is_sorted_by(|a, b| a.revision < b.revision);
    // Ten, and the deployed one if it is older.
    if !fits || !ascends || seen.history.len() > 11 {
        note(Part::Record, format!("the history is not well formed: {}", rows()));
    }
}

/// Deployed means that the server runs, or sleeps as it was told: never something in between for good.
fn server(sight: &Sight, key: &ReleaseKey, note: &mut impl FnMut(Part, String)) {
    match sight.servers.get(&Sight::server_of(key)) {
        Some(seen) if seen.replicas == Some(1) && seen.ready && seen.pods == 1 => {}
        Some(seen) if seen.replicas == Some(0) && seen.pods == 0 => {}
        seen => note(Part::Server, format!("the server neither runs nor sleeps: {seen:?}")),
    }
}

/// Claims are exactly those of live deployments: one per server, of its own identity. Another's data must not be mounted.
fn claims(sight: &Sight, key: &ReleaseKey, seen: &Seen, note: &mut impl FnMut(Part, String)) {
    let server = Sight::server_of(key);
    let found: Vec<_> = sight.claims.get(&server).into_iter().flatten().map(|claim| (claim.name.clone(), claim.identity.clone())).collect();
    let wanted = (format!("{0}-{0}-0", server.name), seen.summary.identity().cloned());
    if found != [wanted] {
        note(Part::Claims, format!("its claims are {found:?}"));
    }
}

/// The connection exists exactly when the server is deployed, under the recorded id, with the login of the revision in force: it is
/// what tasks call.
fn connection(sight: &Sight, key: &ReleaseKey, seen: &Seen, note: &mut impl FnMut(Part, String)) {
    let facts = seen.in_force.as_ref().and_then(|release| release.summary.deployment.as_ref());
    let Some(id) = facts.and_then(|facts| facts.connection_id.as_ref()) else {
        note(Part::Connection, "no connection id is recorded".to_owned());
        return;
    };
    let own: Vec<_> = sight.connections_of(key).map(|connection| &connection.stored.id).collect();
    if own != [id] {
        note(Part::Connection, format!("the recorded connection is `{id}`, and its own are {own:?}"));
        return;
    }
    let login = seen.credentials().map(|login| (login.user.clone(), login.password.expose_secret().to_owned()));
    for connection in sight.connections_of(key) {
        if Some(&connection.login) != login.as_ref() {
            note(Part::Connection, format!("connection `{id}` has the login {:?}, the server has {login:?}", connection.login));
        }
        if facts.is_some_and(|facts| facts.url != connection.stored.url) || connection.stored.has_foreign_fields {
            note(Part::Connection, format!("connection `{id}` has other fields than ours: {:?}", connection.stored));
        }
    }
}

/// Operation records stay small: they live in one Secret (design, "Operations").
pub(super) fn of_record(record: &OperationRecord) -> Option<String> {
    let without_debts = record.finished.iter().filter(|finished| finished.debts.is_empty()).count();
    let is_small = without_debts <= OperationRecord::MAX_FINISHED && record.waiting.len() <= OperationRecord::MAX_WAITING;
    (!is_small).then(|| format!("the record of `{}` has {without_debts} ended operations", record.key.name))
}
