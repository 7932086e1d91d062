//! One request: its deadline, and the fence before it.

use std::future::Future;
use std::time::Duration;

use dbt_controller_domain::ports::{Fence, FenceDown};

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
    match tokio::time::timeout(limit, request).await {
        Ok(answer) => answer.map_err(Fault::from),
        Err(_) => Err(Fault::Unavailable(format!("no answer from the API server within {limit:?}").into())),
    }
}

/// Makes a request that writes: only while the fence stands, and within its limit.
///
/// # Errors
/// [`Denied::Fenced`] before the request; else as [`call`].
pub async fn fenced<T>(fence: &Fence, request: impl Future<Output = kube::Result<T>>) -> Result<T, Denied> {
    // A future does nothing before it is polled, so nothing has left by now.
    fence.check()?;
    Ok(call(fence.call_limit(), request).await?)
}
