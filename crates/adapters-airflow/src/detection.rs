//! Which API the server speaks.

use serde::Deserialize;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout_at;

use crate::ask::Ask;
use crate::caller::Caller;
use crate::fault::Fault;
use crate::leave::Leave;
use crate::login::Login;

/// Which API a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    /// That of Airflow 2.
    V1,
    /// That of Airflow 3.
    V2,
}

impl Api {
    /// As it stands in paths.
    pub(crate) fn segment(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// What a server said of itself.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) api: Api,
    pub(crate) version: String,
}

/// Which API the server speaks, once it was found out.
pub(crate) struct Detection {
    /// Held while it is being found out, so that it is done once.
    found: Mutex<Option<Api>>,
}

impl Detection {
    pub(crate) fn new() -> Self {
        Self { found: Mutex::new(None) }
    }

    /// The API; found out at the first call.
    pub(crate) async fn api(&self, caller: &Caller, leave: &Leave<'_>) -> Result<Api, Fault> {
        let mut found = self.lock(leave).await?;
        match *found {
            Some(api) => Ok(api),
            None => Ok(renew(&mut found, caller, leave).await?.api),
        }
    }

    /// The API, after an answer that the one of `before` would not give.
    pub(crate) async fn after(&self, before: Api, caller: &Caller, leave: &Leave<'_>) -> Result<Api, Fault> {
        let mut found = self.lock(leave).await?;
        match *found {
            // Somebody else found out meanwhile.
            Some(api) if api != before => Ok(api),
            Some(_) | None => Ok(renew(&mut found, caller, leave).await?.api),
        }
    }

    /// Asks the server again in any case.
    pub(crate) async fn anew(&self, caller: &Caller, leave: &Leave<'_>) -> Result<Found, Fault> {
        let mut found = self.lock(leave).await?;
        renew(&mut found, caller, leave).await
    }

    async fn lock(&self, leave: &Leave<'_>) -> Result<MutexGuard<'_, Option<Api>>, Fault> {
        timeout_at(leave.deadline(), self.found.lock())
            .await
            .map_err(|_| Fault::NoAnswer { why: "no answer yet to the question which API Airflow speaks".to_owned(), arrived: false })
    }
}

async fn renew(found: &mut Option<Api>, caller: &Caller, leave: &Leave<'_>) -> Result<Found, Fault> {
    let now = find(caller, leave).await?;
    if *found != Some(now.api) {
        tracing::info!(version = now.version, api = now.api.segment(), "Airflow at {} was found", caller.base());
        *found = Some(now.api);
    }
    Ok(now)
}

async fn find(caller: &Caller, leave: &Leave<'_>) -> Result<Found, Fault> {
    let mut seen = Vec::new();
    for api in [Api::V2, Api::V1] {
        match version(api, caller, leave).await {
            Ok(version) => return Ok(Found { api, version }),
            Err(fault @ (Fault::Fenced(_) | Fault::NoAnswer { .. } | Fault::Later { .. })) => return Err(fault),
            Err(Fault::WrongPlace { why, .. } | Fault::Credentials(why) | Fault::Role(why) | Fault::Rejected(why) | Fault::Taken(why)) => {
                seen.push(format!("/api/{}/version: {why}", api.segment()));
            }
            Err(Fault::Absent | Fault::Exists) => seen.push(format!("/api/{}/version: not a version", api.segment())),
        }
    }
    let (base, seen) = (caller.base(), seen.join("; "));
    let why = format!("{base} is not the address of an Airflow ({seen}); check AIRFLOW_URL and its path");
    Err(Fault::WrongPlace { why, arrived: false })
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

async fn version(api: Api, caller: &Caller, leave: &Leave<'_>) -> Result<String, Fault> {
    let reply = caller.call(api, &Ask::Version, Login::None, leave).await?;
    Ok(reply.json::<Version>()?.version)
}
