//! The HTTP server.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Protocol};
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::{AppConfig, Server};
use actix_web::rt::net::TcpStream;
use dbt_controller_domain::Controller;
use tokio_util::sync::CancellationToken;

use crate::app::{ApiState, create_app};
use crate::connection::{Connection, HEAD_LIMIT};
use crate::settings::ApiSettings;

/// How long a connection that is being closed may take over it.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// How long requests may still run when the server stops gracefully, for those who set no limit of their own. What waits for operations was answered
/// by the controller before that. The service cuts earlier, and tells that it did; were both times the same, a request could be cut without a word.
const STOP_LIMIT_SECONDS: u64 = 10;

/// Serves the API on a bound socket until the returned server's handle stops it. Signals are left to the caller.
///
/// It is put together as actix-web's `HttpServer` does it, but with a stream of our own (`connection`), which that has no door for.
///
/// # Errors
/// If the socket cannot be used, or the number of processors cannot be told.
pub fn server(
    listener: TcpListener,
    controller: Arc<Controller>,
    settings: ApiSettings,
    stop: CancellationToken,
) -> std::io::Result<Server> {
    let connections = settings.max_connections.max(1);
    let workers = settings.workers.map_or_else(|| std::thread::available_parallelism().map(Into::into), Ok)?.min(connections);
    let state = ApiState::new(controller, settings, stop);
    let builder = Server::build()
        .workers(workers)
        // actix counts by worker and fills them in turn. At the limit further ones wait in the listener's queue.
        .max_concurrent_connections(connections / workers)
        .shutdown_timeout(STOP_LIMIT_SECONDS)
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let server = builder.listen("http", listener, move || {
        let stopping = stopping.clone();
        let app = map_config(create_app(&state).into_factory(), |()| AppConfig::default());
        let http = HttpService::build()
            // Connections are kept; `Connection` says for how long.
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(HEAD_LIMIT)
            .client_disconnect_timeout(CLOSE_LIMIT)
            // Whoever hangs up waits for no answer; his operation goes on, and his connection is another's.
            .h1_allow_half_closed(false)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(|connection: &Connection, data| {
                data.insert(connection.turns());
            })
            .finish(app);
        fn_service(async |stream: TcpStream| {
            // Compressed answers and events are several small writes; waiting for acknowledgements in between costs 40 ms each time.
            stream.set_nodelay(true)?;
            let peer = stream.peer_addr().ok();
            Ok::<_, DispatchError>((Connection::new(stream), Protocol::Http1, peer))
        })
        .and_then(http)
    })?;
    Ok(server.run())
}
