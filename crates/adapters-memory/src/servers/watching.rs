//! Watches of servers.

use std::sync::Arc;

use dbt_controller_domain::model::{ServerKey, ServerState};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::world::{Inner, Scene};

/// Begins a watch of a server. Its task sleeps from change to change and ends when the last receiver is gone.
pub(super) fn watch_server(world: &Arc<Inner>, scene: &mut Scene<'_>, key: &ServerKey) -> watch::Receiver<Arc<ServerState>> {
    let changes = scene.server_entry(key).subscribe();
    let (state, next) = scene.look(key);
    let (sender, receiver) = watch::channel(Arc::new(state));
    tokio::spawn(follow(Arc::clone(world), key.clone(), sender, changes, next));
    receiver
}

async fn follow(
    world: Arc<Inner>,
    key: ServerKey,
    sender: watch::Sender<Arc<ServerState>>,
    mut changes: watch::Receiver<()>,
    mut next: Option<Instant>,
) {
    loop {
        tokio::select! {
            () = sender.closed() => break,
            change = changes.changed() => if change.is_err() { break },
            () = sleep_until(next) => {}
        }
        let (state, then) = world.scene().look(&key);
        next = then;
        sender.send_if_modified(|last| {
            let is_new = **last != state;
            if is_new {
                *last = Arc::new(state);
            }
            is_new
        });
    }
    // The last look at a server that is gone: nobody else may ever ask for it again.
    drop(changes);
    world.scene().announce(&key);
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
