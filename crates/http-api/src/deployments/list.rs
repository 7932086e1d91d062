//! `GET /api/v1/deployments`.

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Data;
use dbt_controller_domain::model::{DeploymentFilter, Namespace, ReleaseStatus};
use dbt_controller_domain::{GitBranch, ProjectName};
use paperclip::actix::{Apiv2Schema, api_v2_operation, web};
use schemars::JsonSchema;
use serde::Deserialize;

use super::item::{DeploymentItem, DeploymentList};
use super::page::{MAX_LIMIT, Page, parse_token};
use crate::answer::Answer;
use crate::app::ApiState;
use crate::error::ApiError;
use crate::extract::Problems;
use crate::words::Word;

/// Which deployments to list. Conditions are joined by "and".
#[derive(Debug, Clone, Default, Deserialize, Apiv2Schema, JsonSchema)]
pub(crate) struct ListQuery {
    /// Only deployments of this project.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    project_name: Option<String>,
    /// Only deployments of this branch; empty: only deployments without a branch.
    #[schemars(length(max = 255), regex(pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    git_branch: Option<String>,
    /// Only deployments in this namespace.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    namespace: Option<String>,
    /// Only deployments with this Helm status.
    #[schemars(with = "Option<Word<ReleaseStatus>>")]
    status: Option<String>,
    /// At most this many. Without it, all.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    limit: Option<String>,
    /// The page after this one: the value from the link `rel="next"` of the page before.
    #[serde(rename = "continue")]
    #[schemars(length(min = 1), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    continue_: Option<String>,
}

/// List deployments
///
/// Every deployment that the conditions match, by namespace and name. With `limit` the list comes in pages: the header
/// `Link: <…>; rel="next"` is there as long as more follow.
#[api_v2_operation(tags(Deployments), operation_id = "listDeployments")]
pub(crate) async fn list_deployments(state: Data<ApiState>, query: web::Query<ListQuery>) -> Result<Answer<DeploymentList>, ApiError> {
    let query = query.into_inner();
    let (filter, page) = query.parse()?;
    let list = state.controller.list(&filter).await?;
    let (list, next) = page.of(list);
    let answer = Answer::new(DeploymentList(list.into_iter().map(DeploymentItem).collect()));
    Ok(match next {
        Some(token) => answer.with_header(header::LINK, query.next_link(&token)),
        None => answer,
    })
}

impl ListQuery {
    fn parse(&self) -> Result<(DeploymentFilter, Page), ApiError> {
        let Self { project_name, git_branch, namespace, status, limit, continue_ } = self;
        let mut problems = Problems::default();
        // The values are checked, so that a slip of the pen is told instead of answered by an empty list, and then compared as texts.
        problems.parse::<ProjectName>("project_name", project_name.as_deref());
        problems.parse::<GitBranch>("git_branch", git_branch.as_deref().filter(|branch| !branch.is_empty()));
        problems.parse::<Namespace>("namespace", namespace.as_deref());
        problems.parse::<ReleaseStatus>("status", status.as_deref());
        let limit = problems.note("limit", limit.as_deref().map(parse_limit).transpose()).flatten();
        let after =
            continue_.as_deref().map(|token| parse_token(token).ok_or_else(|| "must be the value of a link `rel=\"next\"`".to_owned()));
        let after = problems.note("continue", after.transpose()).flatten();
        let filter = DeploymentFilter {
            project_name: project_name.clone(),
            git_branch: git_branch.clone(),
            namespace: namespace.clone(),
            status: status.clone(),
        };
        problems.finish((filter, Page { limit, after }))
    }

    /// `Link` of RFC 8288: the same list after this page.
    fn next_link(&self, token: &str) -> HeaderValue {
        let Self { project_name, git_branch, namespace, status, limit, continue_: _ } = self;
        let parameters = [
            ("project_name", project_name.as_deref()),
            ("git_branch", git_branch.as_deref()),
            ("namespace", namespace.as_deref()),
            ("status", status.as_deref()),
            ("limit", limit.as_deref()),
            ("continue", Some(token)),
        ];
        let query: Vec<_> = parameters.iter().filter_map(|(name, value)| Some(format!("{name}={}", percent_encode((*value)?)))).collect();
        let link = format!("</api/v1/deployments?{}>; rel=\"next\"", query.join("&"));
        HeaderValue::from_str(&link).expect("percent-encoded text is plain ASCII, which is a header value")
    }
}

fn parse_limit(text: &str) -> Result<usize, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = text.parse().ok().filter(|limit| digits && (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| format!("must be a number from 1 to {MAX_LIMIT}"))
}

/// Everything but the unreserved characters of RFC 3986, section 2.3, as `%XX`.
fn percent_encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_repeats_the_conditions_percent_encoded() {
        let query = ListQuery { git_branch: Some("a/b ü&c".to_owned()), limit: Some("2".to_owned()), ..ListQuery::default() };
        let link = query.next_link("Zm9v");
        assert_eq!(link, r#"</api/v1/deployments?git_branch=a%2Fb%20%C3%BC%26c&limit=2&continue=Zm9v>; rel="next""#);
    }

    #[test]
    fn every_bad_parameter_is_named() {
        let bad = |text: &str| Some(text.to_owned());
        let query = ListQuery {
            project_name: bad(""),
            git_branch: bad("a\nb"),
            namespace: bad("A"),
            status: bad("fine"),
            limit: bad("+1"),
            continue_: bad("?"),
        };
        let error = query.parse().unwrap_err();
        let problems = error.body().details.validation_errors.unwrap();
        let names: Vec<_> = problems.keys().map(String::as_str).collect();
        assert_eq!(names, ["continue", "git_branch", "limit", "namespace", "project_name", "status"]);
    }
}
