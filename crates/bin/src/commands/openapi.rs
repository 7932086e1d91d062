//! `openapi`: the document of the API.

use std::io::Write;

use anyhow::Context as _;

/// Prints the document.
///
/// # Errors
/// If nobody reads the output.
pub(crate) fn run(output: &mut impl Write) -> anyhow::Result<()> {
    let document = dbt_controller_http_api::openapi_document();
    writeln!(output, "{document:#}").context("cannot write to standard output")
}
