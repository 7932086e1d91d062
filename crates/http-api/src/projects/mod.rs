//! `/api/v1/projects`: deployments as the replaced service's user interface knows them, and other Helm releases.

mod all;
mod exists;
mod list;

pub(crate) use all::{ReleaseList, list_releases};
pub(crate) use exists::{ExistingProject, MissingProject, project_exists};
pub(crate) use list::{ProjectList, list_projects};
