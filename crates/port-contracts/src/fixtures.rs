//! Things to test with: requests, releases, connections, operation records.
//!
//! Builders start from what the contract's defaults give and change one thing each. Wrong texts panic, as befits a test.
//!
//! ```
//! use dbt_controller_port_contracts::fixtures;
//!
//! let request = fixtures::request("test-project", Some("main")).tag("missing-1").build();
//! assert_eq!(request.image.to_string(), "4fastbi/dbt-api-server-core:missing-1");
//! ```

mod record;
mod request;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dbt_controller_domain::Identity;
use dbt_controller_domain::model::{
    Caller, Connection, Credentials, DeployRequest, DesiredRelease, Namespace, OperationId, ReleaseKey, ServerKey, ServerName,
};
use dbt_controller_domain::naming::{ConnectionId, NameForm};
use dbt_controller_domain::ports::Fence;
use tokio::time::Instant;

pub use record::{RecordBuilder, record};
pub use request::{RequestBuilder, request};

/// The namespace of all fixtures that are not told otherwise.
pub const NAMESPACE: &str = "dbt-server";

fn count() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

/// The namespace [`NAMESPACE`].
pub fn namespace() -> Namespace {
    parse(NAMESPACE)
}

/// An identity that no other call of this process returned.
pub fn fresh_identity(prefix: &str) -> Identity {
    Identity::parse(&format!("{prefix}-{}", count()), Some("main")).unwrap_or_else(|error| panic!("prefix `{prefix}`: {error}"))
}

/// An operation id that no other call of this process returned. Later ones sort after earlier ones.
pub fn operation_id() -> OperationId {
    parse(&format!("op-{:08}", count()))
}

/// A login; equal seeds give equal ones.
pub fn credentials(seed: &str) -> Credentials {
    Credentials { user: format!("dbt_server_agent_{seed}"), password: format!("{:x<32}", format!("password-of-{seed}-")).into() }
}

/// The plain key of an identity's release.
pub fn release_key(namespace: &Namespace, identity: &Identity) -> ReleaseKey {
    ReleaseKey { namespace: namespace.clone(), name: identity.release_name(NameForm::Plain) }
}

/// The server of a release of ours.
pub fn server_key(release: &ReleaseKey) -> ServerKey {
    ServerKey { namespace: release.namespace.clone(), name: ServerName::from(&release.name) }
}

/// What a deploy with this request wants: plain names, the login of seed `first`, a new operation. Change its fields for other cases.
pub fn desired(request: DeployRequest) -> DesiredRelease {
    DesiredRelease {
        server: ServerName::from(&request.identity.release_name(NameForm::Plain)),
        key: release_key(&request.namespace, &request.identity),
        home: namespace(),
        credentials: credentials("first"),
        connection_id: Some(request.identity.connection_id(NameForm::Plain)),
        after: None,
        operation: operation_id(),
        request,
    }
}

/// A connection of a release.
pub fn connection(owner: &ReleaseKey, id: &ConnectionId) -> Connection {
    Connection {
        id: id.clone(),
        owner: owner.clone(),
        url: format!("http://{}.{}.svc.cluster.local/invocations", owner.name, owner.namespace),
        credentials: credentials("first"),
    }
}

/// A fence of 30 s that was renewed just now.
pub fn fence() -> Fence {
    Fence::new(Duration::from_secs(30), Instant::now())
}

/// A fence that was taken down.
pub fn fence_down() -> Fence {
    let fence = fence();
    fence.take_down();
    fence
}

/// Somebody who asks.
pub fn caller() -> Caller {
    Caller { request_id: "request-1".to_owned(), actor: "ci".to_owned() }
}

/// Parses a text that the test's author knows to be valid.
#[track_caller]
fn parse<T>(text: &str) -> T
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().unwrap_or_else(|error| panic!("`{text}`: {error}"))
}
