//! Waiting for the caches of another adapter.

use std::time::Duration;

use async_trait::async_trait;

use crate::{Fault, ObjectKey};

/// Lets the adapter that wrote an object wait until the adapter that answers reads of its kind has seen it, so that no read is
/// answered with what was before a write.
///
/// A kind is named as in `TypeMeta` (`StatefulSet`). Kinds that no cache holds need no waiting: both methods return at once.
#[async_trait]
pub trait Barrier: Send + Sync {
    /// Waits until reads show the object at this version or a later one.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when it was not seen within `limit`.
    async fn seen(&self, kind: &str, key: &ObjectKey, version: &str, limit: Duration) -> Result<(), Fault>;

    /// Waits until reads show no object with this uid.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when it was still shown after `limit`.
    async fn gone(&self, kind: &str, key: &ObjectKey, uid: &str, limit: Duration) -> Result<(), Fault>;
}
