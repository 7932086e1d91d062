//! The HTTP server.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpServer;
use actix_web::dev::Server;
use dbt_controller_domain::Controller;
use tokio_util::sync::CancellationToken;

use crate::app::{ApiState, create_app};
use crate::settings::ApiSettings;

/// How long the head of a request may take to arrive.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// How long an idle connection is kept; longer than the 60 s after which common load balancers close theirs, so that they do not send a
/// request into a connection that is just being closed.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a connection that is being closed may take over it.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Connections per worker thread. A caller who waits for a deploy holds one for minutes.
const MAX_CONNECTIONS: usize = 4096;

/// How long requests may still run when the server stops gracefully. What waits for operations was answered by the controller before that.
const STOP_LIMIT_SECONDS: u64 = 2;

/// Serves the API on a bound socket until the returned server's handle stops it. Signals are left to the caller.
///
/// # Errors
/// If the socket cannot be used.
pub fn server(
    listener: TcpListener,
    controller: Arc<Controller>,
    settings: ApiSettings,
    stop: CancellationToken,
) -> std::io::Result<Server> {
    let workers = settings.workers;
    let state = ApiState::new(controller, settings, stop);
    let mut server = HttpServer::new(move || create_app(&state))
        .client_request_timeout(HEAD_LIMIT)
        .client_disconnect_timeout(CLOSE_LIMIT)
        .keep_alive(KEEP_ALIVE)
        .max_connections(MAX_CONNECTIONS)
        // Compressed answers and events are several small writes; waiting for acknowledgements in between costs 40 ms each time.
        .tcp_nodelay(true)
        .shutdown_timeout(STOP_LIMIT_SECONDS)
        .disable_signals();
    if let Some(workers) = workers {
        server = server.workers(workers);
    }
    Ok(server.listen(listener)?.run())
}
