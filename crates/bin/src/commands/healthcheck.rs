//! `healthcheck`: asks the service on this machine whether it is alive.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};

use crate::settings::{self, SettingsError};

/// Each step of the exchange. Container runtimes give the whole check 30 s by default, Kubernetes 1 s by default and more when told.
const STEP_TIMEOUT: Duration = Duration::from_secs(3);

/// Asks `/health/liveness`. One line about a good answer.
///
/// # Errors
/// If there is no answer, or not a good one.
pub(crate) fn run() -> anyhow::Result<String> {
    let address = address()?;
    if address.port() == 0 {
        bail!("PORT is 0, so the service took any free port: set PORT to the one it printed");
    }
    let status = ask(address).with_context(|| format!("no answer from http://{address}/health/liveness"))?;
    if status.split(' ').nth(1) != Some("200") {
        bail!("not alive: `{status}` from http://{address}/health/liveness");
    }
    Ok(format!("alive: `{status}` from http://{address}/health/liveness\n"))
}

/// Where the service listens. An error is one line and no `SettingsError`, for which the program would end with 2: container runtimes know
/// 0 and 1 only.
fn address() -> anyhow::Result<SocketAddr> {
    let listen = settings::load_listen(&settings::process_environment).map_err(|SettingsError(faults)| {
        let faults: Vec<_> = faults.iter().map(|fault| format!("{} {}", fault.variable, fault.message)).collect();
        anyhow!("cannot tell where the service listens: {}", faults.join("; "))
    })?;
    Ok(listen.local_address())
}

/// The status line of the answer.
fn ask(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, STEP_TIMEOUT)?;
    stream.set_read_timeout(Some(STEP_TIMEOUT))?;
    stream.set_write_timeout(Some(STEP_TIMEOUT))?;
    let request = format!("GET /health/liveness HTTP/1.1\r\nHost: {address}\r\nUser-Agent: healthcheck\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    // Whatever listens there may send no line at all, and no end of it.
    let mut status = Vec::new();
    BufReader::new(stream.take(1024)).read_until(b'\n', &mut status)?;
    let status = String::from_utf8_lossy(&status).trim_end().to_owned();
    if !status.starts_with("HTTP/1.") {
        bail!("what listens there does not speak HTTP");
    }
    Ok(status)
}
