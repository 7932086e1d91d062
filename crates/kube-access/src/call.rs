//! One request: its deadline, and the fence before it.

use std::future::Future;
use std::time::Duration;

use dbt_controller_domain::ports::{Fence, FenceDown, before};
use tokio::time::Instant;

use crate::Fault;

/// How long a request that only reads may take.
pub const READ_LIMIT: Duration = Duration::from_secs(10);

/// Why a request that writes did not go through.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// The operation's lock may be lost; no request was made.
    #[error(transparent)]
    Fenced(#[from] FenceDown),
    /// The request failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Makes a request that ends within `limit`.
///
/// # Errors
/// What the API server answered, or [`Fault::Unavailable`].
pub async fn call<T>(limit: Duration, request: impl Future<Output = kube::Result<T>>) -> Result<T, Fault> {
    call_before(Instant::now() + limit, limit, request).await
}

async fn call_before<T>(deadline: Instant, limit: Duration, request: impl Future<Output = kube::Result<T>>) -> Result<T, Fault> {
    match before(deadline, request).await {
        Some(answer) => answer.map_err(Fault::from),
        None => Err(Fault::Unavailable(format!("no answer from the API server within {limit:?}").into())),
    }
}

/// Makes a request that writes: only while the fence stands, and within its limit.
///
/// # Errors
/// [`Denied::Fenced`] before the request; else as [`call`].
pub async fn fenced<T>(fence: &Fence, request: impl Future<Output = kube::Result<T>>) -> Result<T, Denied> {
    let limit = fence.call_limit();
    // Its time begins before the look at the lock. A future does nothing before it is polled, so nothing has left by now.
    let deadline = Instant::now() + limit;
    fence.check()?;
    Ok(call_before(deadline, limit, request).await?)
}
