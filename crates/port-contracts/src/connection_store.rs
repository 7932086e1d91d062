//! The contract of `ConnectionStore`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dbt_controller_domain::model::{
    CONNECTION_TYPE, Connection, Dag, DeleteOutcome, PutOutcome, ReleaseKey, StoredConnection, description_of_owner,
};
use dbt_controller_domain::naming::{ConnectionId, NameForm, ReleaseName};
use dbt_controller_domain::ports::{ConnectionError, ConnectionStore, Fence};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use crate::check::{Outcome, Stopped, ensure, ensure_eq, ensure_err, suite};
use crate::fixtures::{self, fence, fence_down};
use crate::harness::{FarSide, Harness, Hook, fresh_identity};

/// What the suite of `ConnectionStore` needs.
#[async_trait]
pub trait ConnectionHarness: Harness {
    /// The adapter under test.
    fn connections(&self) -> Arc<dyn ConnectionStore>;

    /// Hook: somebody makes a connection with this id, for another system, with another password, port and extra.
    async fn plant_foreign(&self, id: &ConnectionId) -> Hook {
        let _ = id;
        Hook::NotSupported
    }

    /// Hook: the stored password, which the port cannot tell.
    async fn password(&self, id: &ConnectionId) -> Result<Option<SecretString>, Hook> {
        let _ = id;
        Err(Hook::NotSupported)
    }

    /// Hook: makes or changes a DAG with the tag `api_operator_dbt` whose description names the release.
    async fn set_dag(&self, release: &ReleaseName, id: &str, paused: bool) -> Hook {
        let _ = (release, id, paused);
        Hook::NotSupported
    }

    /// Hook: Airflow refuses our login, or takes it again.
    async fn refuse_login(&self, refuse: bool) -> Hook {
        let _ = refuse;
        Hook::NotSupported
    }
}

suite! {
    /// Checks every promise of `ConnectionStore`.
    connection_store(dyn ConnectionHarness):
        an_unknown_connection_is_none,
        a_created_connection_is_read_back,
        the_password_is_written,
        an_update_writes_every_field,
        a_connection_that_was_deleted_since_is_created_again,
        a_repeated_create_succeeds,
        a_connection_of_another_release_is_not_changed,
        somebody_elses_connection_is_not_changed,
        a_connection_that_appeared_since_is_not_changed,
        content_that_cannot_be_stored_is_rejected,
        delete_says_whether_there_was_one,
        ours_are_listed_by_id_and_others_are_not,
        check_tells_version_and_role,
        dags_are_found_by_release_and_listed_by_id,
        every_write_asks_the_fence_first,
        a_far_side_that_is_down_is_unavailable,
        a_far_side_that_hangs_is_given_up,
        a_refused_login_is_refused,
        errors_hold_no_secret,
}

struct Played {
    store: Arc<dyn ConnectionStore>,
    connection: Connection,
}

impl Played {
    fn fresh(harness: &dyn ConnectionHarness) -> Self {
        let identity = fresh_identity(harness);
        let owner = fixtures::release_key(&harness.namespace(), &identity);
        let id = identity.connection_id(NameForm::Plain);
        Self { store: harness.connections(), connection: fixtures::connection(&owner, &id) }
    }

    fn id(&self) -> &ConnectionId {
        &self.connection.id
    }

    async fn get(&self) -> Outcome<Option<StoredConnection>> {
        Ok(self.store.get(self.id()).await?)
    }

    async fn create(&self) -> Outcome<PutOutcome> {
        Ok(self.store.put(&self.connection, None, &fence()).await?)
    }

    async fn stored(&self) -> Outcome<StoredConnection> {
        self.get().await?.ok_or_else(|| Stopped::broken("the connection is not there"))
    }
}

/// Another release of the same namespace.
fn other_owner(harness: &dyn ConnectionHarness) -> ReleaseKey {
    fixtures::release_key(&harness.namespace(), &fresh_identity(harness))
}

async fn ensure_password(harness: &dyn ConnectionHarness, id: &ConnectionId, wanted: &SecretString) -> Outcome {
    let stored = match harness.password(id).await {
        Ok(stored) => stored,
        Err(hook) => {
            hook.or_skip("password")?;
            None
        }
    };
    let agrees = stored.is_some_and(|stored| stored.expose_secret() == wanted.expose_secret());
    ensure!(agrees, "the stored password is another");
    Ok(())
}

async fn an_unknown_connection_is_none(harness: &dyn ConnectionHarness) -> Outcome {
    let played = Played::fresh(harness);
    ensure!(played.get().await?.is_none(), "a connection that was never made is returned");
    Ok(())
}

async fn a_created_connection_is_read_back(harness: &dyn ConnectionHarness) -> Outcome {
    let played = Played::fresh(harness);
    ensure_eq!(played.create().await?, PutOutcome::Created, "the outcome");
    let stored = played.stored().await?;
    let promised = StoredConnection {
        id: played.id().clone(),
        conn_type: CONNECTION_TYPE.to_owned(),
        url: played.connection.url.clone(),
        login: Some(played.connection.credentials.user.clone()),
        description: Some(description_of_owner(&played.connection.owner)),
        owner: Some(played.connection.owner.clone()),
        has_foreign_fields: false,
    };
    ensure_eq!(stored, promised, "the connection");
    ensure!(stored.agrees_with(&played.connection), "it does not agree with what was written");
    Ok(())
}

async fn the_password_is_written(harness: &dyn ConnectionHarness) -> Outcome {
    let mut played = Played::fresh(harness);
    for password in ["plain-password", "p@ss:w/rd?#%\"'\\{}é", "***-and-more"] {
        played.connection.credentials.password = password.into();
        let known = played.get().await?;
        played.store.put(&played.connection, known.as_ref(), &fence()).await?;
        ensure_password(harness, played.id(), &played.connection.credentials.password).await?;
    }
    Ok(())
}

async fn an_update_writes_every_field(harness: &dyn ConnectionHarness) -> Outcome {
    let mut played = Played::fresh(harness);
    played.create().await?;
    let known = played.stored().await?;
    played.connection.url = "https://elsewhere.example.com/invocations".to_owned();
    played.connection.credentials = fixtures::credentials("second");
    let outcome = played.store.put(&played.connection, Some(&known), &fence()).await?;
    ensure_eq!(outcome, PutOutcome::Updated, "the outcome");
    ensure!(played.stored().await?.agrees_with(&played.connection), "the connection is not as it was written");
    Ok(())
}

async fn a_connection_that_was_deleted_since_is_created_again(harness: &dyn ConnectionHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.create().await?;
    let known = played.stored().await?;
    played.store.delete(played.id(), &fence()).await?;
    let outcome = played.store.put(&played.connection, Some(&known), &fence()).await?;
    ensure_eq!(outcome, PutOutcome::Created, "the outcome");
    ensure!(played.stored().await?.agrees_with(&played.connection), "the connection is not as it was written");
    Ok(())
}

async fn a_repeated_create_succeeds(harness: &dyn ConnectionHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.create().await?;
    // Which of the two outcomes is told cannot matter: the adapter may not know which attempt arrived.
    played.create().await?;
    ensure!(played.stored().await?.agrees_with(&played.connection), "the connection is not as it was written");
    Ok(())
}

async fn a_connection_of_another_release_is_not_changed(harness: &dyn ConnectionHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.create().await?;
    let before = played.stored().await?;
    let other = Connection { owner: other_owner(harness), ..played.connection.clone() };
    for known in [None, Some(&before)] {
        let put = played.store.put(&other, known, &fence()).await;
        ensure_err!(put, ConnectionError::Taken(_), "writing another release's connection (known: {})", known.is_some());
    }
    ensure_eq!(played.stored().await?, before, "the other release's connection");
    ensure_password(harness, played.id(), &played.connection.credentials.password).await
}

async fn somebody_elses_connection_is_not_changed(harness: &dyn ConnectionHarness) -> Outcome {
    let played = Played::fresh(harness);
    harness.plant_foreign(played.id()).await.or_skip("plant_foreign")?;
    let before = played.stored().await?;
    ensure_eq!(before.owner, None, "the owner of somebody else's connection");
    ensure!(!before.agrees_with(&played.connection), "somebody else's connection agrees with ours");
    for known in [None, Some(&before)] {
        let put = played.store.put(&played.connection, known, &fence()).await;
        ensure_err!(put, ConnectionError::Taken(_), "writing somebody else's connection (known: {})", known.is_some());
    }
    ensure_eq!(played.stored().await?, before, "somebody else's connection");
    Ok(())
}

async fn a_connection_that_appeared_since_is_not_changed(harness: &dyn ConnectionHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.create().await?;
    let known = played.stored().await?;
    // Between the caller's look and its write, the id changes hands.
    played.store.delete(played.id(), &fence()).await?;
    harness.plant_foreign(played.id()).await.or_skip("plant_foreign")?;
    let put = played.store.put(&played.connection, Some(&known), &fence()).await;
    ensure_err!(put, ConnectionError::Taken(_), "updating a connection that is somebody else's by now");
    ensure_eq!(played.stored().await?.owner, None, "the owner");
    Ok(())
}

async fn content_that_cannot_be_stored_is_rejected(harness: &dyn ConnectionHarness) -> Outcome {
    type Change = fn(&mut Connection);
    let changes: [(&str, Change); 5] = [
        // The column of a host has 500 characters. Airflow 3 on SQLite takes more, and another database would not.
        ("a long host", |connection| connection.url = format!("https://{}.example.com/invocations", "x".repeat(600))),
        // PostgreSQL does not store one.
        ("a NUL in the host", |connection| connection.url.push('\0')),
        ("a NUL in the login", |connection| connection.credentials.user.push('\0')),
        // A PATCH with one of these leaves the password as it is.
        ("an empty password", |connection| connection.credentials.password = "".into()),
        ("the mask of passwords", |connection| connection.credentials.password = "***".into()),
    ];
    for (what, change) in changes {
        let mut played = Played::fresh(harness);
        change(&mut played.connection);
        let put = played.store.put(&played.connection, None, &fence()).await;
        ensure!(
            matches!(&put, Err(ConnectionError::Rejected(why)) if !why.is_empty()),
            "{what}: {put:?} instead of Rejected with a reason"
        );
        ensure!(played.get().await?.is_none(), "{what}: it was stored all the same");
    }
    Ok(())
}

async fn delete_says_whether_there_was_one(harness: &dyn ConnectionHarness) -> Outcome {
    let played = Played::fresh(harness);
    ensure_eq!(played.store.delete(played.id(), &fence()).await?, DeleteOutcome::Absent, "deleting what is not there");
    played.create().await?;
    ensure_eq!(played.store.delete(played.id(), &fence()).await?, DeleteOutcome::Deleted, "deleting what is there");
    ensure!(played.get().await?.is_none(), "the connection is still there");
    ensure_eq!(played.store.delete(played.id(), &fence()).await?, DeleteOutcome::Absent, "deleting it again");
    Ok(())
}

async fn ours_are_listed_by_id_and_others_are_not(harness: &dyn ConnectionHarness) -> Outcome {
    let (one, two, foreign) = (Played::fresh(harness), Played::fresh(harness), Played::fresh(harness));
    two.create().await?;
    one.create().await?;
    // More than a page of Airflow's list (100), lest the rest be forgotten.
    let many: Vec<_> = (0..101).map(|_| Played::fresh(harness)).collect();
    for played in &many {
        played.create().await?;
    }
    let planted = harness.plant_foreign(foreign.id()).await;
    let ours = one.store.list_ours().await?;
    ensure!(ours.windows(2).all(|pair| pair[0].id < pair[1].id), "the list is not in the order of ids, or has one twice");
    for played in [&one, &two].into_iter().chain(&many) {
        let listed = ours.iter().find(|listed| listed.id == *played.id());
        ensure!(
            listed.is_some_and(|listed| listed.owner.as_ref() == Some(&played.connection.owner)),
            "`{}` is not listed as ours",
            played.id()
        );
    }
    for played in &many {
        played.store.delete(played.id(), &fence()).await?;
    }
    planted.or_skip("plant_foreign")?;
    ensure!(ours.iter().all(|listed| listed.id != *foreign.id()), "somebody else's connection is listed as ours");
    Ok(())
}

async fn check_tells_version_and_role(harness: &dyn ConnectionHarness) -> Outcome {
    let health = harness.connections().check().await?;
    ensure!(!health.version.is_empty(), "no version is told");
    ensure!(health.role_sufficient, "the role is called insufficient");
    Ok(())
}

async fn dags_are_found_by_release_and_listed_by_id(harness: &dyn ConnectionHarness) -> Outcome {
    let (played, other) = (Played::fresh(harness), Played::fresh(harness));
    let release = &played.connection.owner.name;
    ensure_eq!(played.store.dags(release).await?.dags, Vec::<Dag>::new(), "the DAGs of a release that no DAG names");
    for (id, paused) in [("b_daily", true), ("a_hourly", false)] {
        harness.set_dag(release, id, paused).await.or_skip("set_dag")?;
    }
    harness.set_dag(&other.connection.owner.name, "c_weekly", false).await.or_skip("set_dag")?;
    let dag = |id: &str, paused| Dag { id: id.to_owned(), paused };
    let reading = played.store.dags(release).await?;
    ensure_eq!(reading.dags, vec![dag("a_hourly", false), dag("b_daily", true)], "the DAGs");
    harness.set_dag(release, "a_hourly", true).await.or_skip("set_dag")?;
    let everybodys = played.store.all_dags().await?;
    ensure_eq!(everybodys.dags.get(release), Some(&vec![dag("a_hourly", true), dag("b_daily", true)]), "the DAGs, read with all others");
    ensure_eq!(everybodys.dags.get(&other.connection.owner.name), Some(&vec![dag("c_weekly", false)]), "the DAGs of another release");
    ensure!(everybodys.dags.values().all(|dags| !dags.is_empty()), "a release that no DAG names is told");
    let later = played.store.dags(release).await?;
    ensure!(later.read_at >= reading.read_at, "a later reading is dated earlier");
    Ok(())
}

async fn every_write_asks_the_fence_first(harness: &dyn ConnectionHarness) -> Outcome {
    let stale = Fence::new(Duration::from_millis(100), Instant::now());
    tokio::time::sleep(Duration::from_millis(50)).await;
    for fence in [fence_down(), stale] {
        let (made, missing) = (Played::fresh(harness), Played::fresh(harness));
        made.create().await?;
        let known = made.stored().await?;
        let changed = Connection { url: "http://changed.example.com/invocations".to_owned(), ..made.connection.clone() };
        let created = made.store.put(&missing.connection, None, &fence).await;
        ensure_err!(created, ConnectionError::Fenced(_), "`put` that creates");
        let updated = made.store.put(&changed, Some(&known), &fence).await;
        ensure_err!(updated, ConnectionError::Fenced(_), "`put` that updates");
        ensure_err!(made.store.delete(made.id(), &fence).await, ConnectionError::Fenced(_), "`delete`");
        ensure!(missing.get().await?.is_none(), "the connection was made all the same");
        ensure_eq!(made.stored().await?, known, "the connection");
    }
    Ok(())
}

async fn a_far_side_that_is_down_is_unavailable(harness: &dyn ConnectionHarness) -> Outcome {
    let played = Played::fresh(harness);
    harness.set_far_side(FarSide::Down).await.or_skip("set_far_side")?;
    let answers = [
        ("get", played.store.get(played.id()).await.map(drop)),
        ("put", played.store.put(&played.connection, None, &fence()).await.map(drop)),
        ("delete", played.store.delete(played.id(), &fence()).await.map(drop)),
        ("list_ours", played.store.list_ours().await.map(drop)),
        ("check", played.store.check().await.map(drop)),
        ("dags", played.store.dags(&played.connection.owner.name).await.map(drop)),
        ("all_dags", played.store.all_dags().await.map(drop)),
    ];
    let mended = harness.set_far_side(FarSide::Answers).await;
    mended.or_skip("set_far_side")?;
    for (method, answer) in answers {
        match (method, answer) {
            // What takes a connection and closes it may have taken the request.
            ("put", Err(ConnectionError::Unreachable(_))) => {}
            (_, answer) => ensure_err!(answer, ConnectionError::Unavailable(_), "`{method}`"),
        }
    }
    played.create().await?;
    Ok(())
}

async fn a_far_side_that_hangs_is_given_up(harness: &dyn ConnectionHarness) -> Outcome {
    let played = Played::fresh(harness);
    let fence = Fence::new(Duration::from_secs(6), Instant::now());
    let grace = Duration::from_secs(1);
    harness.set_far_side(FarSide::Hangs).await.or_skip("set_far_side")?;
    let write = tokio::time::timeout(fence.call_limit() + grace, played.store.put(&played.connection, None, &fence)).await;
    let read = tokio::time::timeout(Duration::from_secs(10) + grace, played.store.get(played.id())).await;
    let mended = harness.set_far_side(FarSide::Answers).await;
    mended.or_skip("set_far_side")?;
    ensure_err!(write?, ConnectionError::Unavailable(_), "a write that hangs");
    ensure_err!(read?, ConnectionError::Unavailable(_), "a read that hangs");
    Ok(())
}

async fn a_refused_login_is_refused(harness: &dyn ConnectionHarness) -> Outcome {
    let played = Played::fresh(harness);
    harness.refuse_login(true).await.or_skip("refuse_login")?;
    let answers = [
        ("get", played.store.get(played.id()).await.map(drop)),
        ("put", played.store.put(&played.connection, None, &fence()).await.map(drop)),
        ("delete", played.store.delete(played.id(), &fence()).await.map(drop)),
        ("list_ours", played.store.list_ours().await.map(drop)),
        ("check", played.store.check().await.map(drop)),
    ];
    let mended = harness.refuse_login(false).await;
    mended.or_skip("refuse_login")?;
    for (method, answer) in answers {
        ensure_err!(answer, ConnectionError::Refused(_), "`{method}`");
    }
    played.create().await?;
    Ok(())
}

async fn errors_hold_no_secret(harness: &dyn ConnectionHarness) -> Outcome {
    let mut played = Played::fresh(harness);
    played.create().await?;
    played.connection.credentials.password = "canary-password-4".into();
    let taken = Connection { owner: other_owner(harness), ..played.connection.clone() };
    let unstorable = Connection { url: "x".repeat(600), id: Played::fresh(harness).connection.id, ..played.connection.clone() };
    let answers = [
        played.store.put(&taken, None, &fence()).await,
        played.store.put(&unstorable, None, &fence()).await,
        played.store.put(&played.connection, None, &fence_down()).await,
    ];
    for answer in answers {
        let Err(error) = answer else { return Err(Stopped::broken("it was stored")) };
        let text = format!("{error} {error:?}");
        ensure!(!text.contains("canary-password-4"), "the password is in an error of this kind: {error}");
    }
    Ok(())
}
