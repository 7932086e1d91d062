//! `names`: what a project and branch can be called.

use std::fmt::Write as _;

use anyhow::Context as _;
use dbt_controller_naming::{GitBranch, Identity, ProjectName};

/// The names in order of preference, one per line after its kind.
///
/// # Errors
/// If the project or the branch is not valid.
pub(crate) fn run(project: &str, branch: Option<&str>) -> anyhow::Result<String> {
    let identity = parse(project, branch)?;
    let mut text = String::new();
    // Writing to a String cannot fail.
    for name in identity.release_names() {
        let _ = writeln!(text, "release_name   {name}");
    }
    for id in identity.connection_ids() {
        let _ = writeln!(text, "connection_id  {id}");
    }
    Ok(text)
}

fn parse(project: &str, branch: Option<&str>) -> anyhow::Result<Identity> {
    let project: ProjectName = project.parse().context("the project is not usable")?;
    // As in a request, an empty branch is none.
    let branch: Option<GitBranch> =
        branch.filter(|branch| !branch.is_empty()).map(str::parse).transpose().context("the branch is not usable")?;
    Ok(Identity::new(project, branch))
}
