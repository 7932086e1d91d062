//! The commands beside `serve`. Each makes a text, which is then printed; `tethered` becomes another program.

pub(crate) mod healthcheck;
pub(crate) mod names;
pub(crate) mod tethered;

use std::io::{self, ErrorKind, Write};

use anyhow::Context as _;

/// Prints a text. A reader who has read enough and goes (`| head`) is not an error.
///
/// # Errors
/// If standard output cannot be written.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write to standard output"),
        _ => Ok(()),
    }
}
