//! `names`: what a project and branch can be called.

use std::io::{self, Write};

use anyhow::Context as _;
use dbt_controller_naming::{GitBranch, Identity, ProjectName};

/// Prints the names in order of preference, one per line after its kind.
///
/// # Errors
/// If the project or the branch is not valid, or nobody reads the output.
pub(crate) fn run(project: &str, branch: Option<&str>, output: &mut impl Write) -> anyhow::Result<()> {
    let identity = parse(project, branch)?;
    print(&identity, output).context("cannot write to standard output")
}

fn parse(project: &str, branch: Option<&str>) -> anyhow::Result<Identity> {
    let project: ProjectName = project.parse().context("the project is not usable")?;
    // As in a request, an empty branch is none.
    let branch: Option<GitBranch> =
        branch.filter(|branch| !branch.is_empty()).map(str::parse).transpose().context("the branch is not usable")?;
    Ok(Identity::new(project, branch))
}

fn print(identity: &Identity, output: &mut impl Write) -> io::Result<()> {
    for name in identity.release_names() {
        writeln!(output, "release_name   {name}")?;
    }
    for id in identity.connection_ids() {
        writeln!(output, "connection_id  {id}")?;
    }
    Ok(())
}
