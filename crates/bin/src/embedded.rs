//! `serve --embedded`: a token for callers, and a greeting that says how to call.

use std::io::{self, Write};
use std::net::SocketAddr;

use secrecy::{ExposeSecret, SecretString};

use crate::settings::reachable;
use crate::system::SystemRandom;

/// The token that callers have to send.
pub(crate) struct Token {
    /// The token.
    pub(crate) secret: SecretString,
    /// Whether it was made for this run, so that nobody knows it yet.
    made: bool,
}

impl Token {
    /// The one that was set, or a new one.
    pub(crate) fn new(set: Option<&SecretString>) -> Self {
        Self { secret: set.cloned().unwrap_or_else(|| SystemRandom.secret()), made: set.is_none() }
    }

    /// What stands for it in the greeting: a token that somebody chose is not printed, and only they know where they wrote it.
    fn shown(&self) -> &str {
        if self.made { self.secret.expose_secret() } else { "<your SECRET_KEY>" }
    }
}

/// Says where the service is and how to call it. `has_airflow`: whether its connections are those of a real Airflow.
///
/// # Errors
/// If nobody reads the output.
pub(crate) fn announce(listener: SocketAddr, token: &Token, has_airflow: bool, output: &mut impl Write) -> io::Result<()> {
    let address = reachable(listener);
    let shown = token.shown();
    writeln!(output, "Everything is kept in memory: nothing is deployed anywhere, and all of it is gone when the service stops.")?;
    if has_airflow {
        writeln!(output, "But for the connections: they are made in the Airflow of AIRFLOW_URL, and stay there.")?;
    }
    writeln!(output, "Address:  http://{address}")?;
    writeln!(output, "Token:    {shown}")?;
    writeln!(
        output,
        "Try:      curl -X POST http://{address}/api/v1/deployments -H \"Content-Type: application/json\" -H \"Authorization: Bearer {shown}\" -d '{{\"project_name\": \"test-project\", \"git_branch\": \"main\"}}'"
    )?;
    writeln!(output, "API:      http://{address}/docs")?;
    output.flush()
}
