//! From the bytes of a POST body to the domain's request.
//!
//! ```text
//!  bytes ─ json ─► members ─ reader ─► texts, words, numbers ─ resolve ─► DeployRequest
//!                              ▲                                 ▲
//!                           fields ─ schema ─► document       RequestDefaults
//! ```
//!
//! The table in `fields` is what the reader checks by and what the published document shows. All errors are told at once,
//! by field; neither errors nor warnings repeat a value, because bodies carry secrets.

mod body;
mod fields;
mod forms;
mod json;
mod reader;
mod resolve;
mod resources;
mod schema;

use std::collections::BTreeMap;

use dbt_controller_domain::model::{CloudProvider, Customer, DeployRequest, Domain, HostTemplate, Namespace, Resources};

pub(crate) use body::DeployBody;

/// A named set of resources (`SERVER_SIZES`).
pub type SizePreset = Resources;

/// What the configuration says about fields that a body leaves out.
#[derive(Debug, Clone)]
pub struct RequestDefaults {
    /// The namespaces that may be deployed to; the first is the default.
    pub namespaces: Vec<Namespace>,
    /// `DEFAULT_CUSTOMER`.
    pub customer: Option<Customer>,
    /// `DEFAULT_DOMAIN`.
    pub domain: Option<Domain>,
    /// `SERVER_HOST_TEMPLATE`.
    pub host_template: HostTemplate,
    /// `DEFAULT_TAG`.
    pub tag: Option<String>,
    /// `CLOUD_PROVIDER`.
    pub cloud_provider: CloudProvider,
    /// `GCP_SERVICE_ACCOUNT`.
    pub service_account: Option<String>,
    /// `SERVER_SIZES`.
    pub sizes: BTreeMap<String, SizePreset>,
}

/// What a body asks for.
#[derive(Debug)]
pub(crate) struct ParsedBody {
    /// The resolved request.
    pub(crate) request: DeployRequest,
    /// What the caller should know about the body, for the answer. Holds no value of it.
    pub(crate) warnings: Vec<String>,
}

/// Why a body is refused. Holds no value of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// It is not one JSON object (HTTP 400). The text says what is wrong and where.
    #[error("{0}")]
    Malformed(String),
    /// Some fields break their rules (HTTP 422): messages by field name.
    #[error("the body has fields that break their rules: {}", .0.keys().map(String::as_str).collect::<Vec<_>>().join(", "))]
    Invalid(BTreeMap<String, Vec<String>>),
}

/// Reads a body.
///
/// # Errors
/// [`BodyError::Malformed`] if it is not JSON, not UTF-8, nested too deeply, has a key twice or is no object; else
/// [`BodyError::Invalid`] with the errors of all fields.
pub(crate) fn parse(bytes: &[u8], defaults: &RequestDefaults) -> Result<ParsedBody, BodyError> {
    let members = json::read_object(bytes).map_err(BodyError::Malformed)?;
    resolve::resolve(reader::Reader::new(members), defaults)
}

impl RequestDefaults {
    /// Whether every body that leaves out what it may gets a valid request from these settings; to be asked once at start.
    ///
    /// # Errors
    /// A sentence that names the setting.
    pub fn check(&self) -> Result<(), String> {
        if self.namespaces.is_empty() {
            return Err("`KUBERNETES_NAMESPACE`: must not be empty".to_owned());
        }
        let texts = [("DEFAULT_TAG", &fields::TAG, &self.tag), ("GCP_SERVICE_ACCOUNT", &fields::SERVICE_ACCOUNT, &self.service_account)];
        for (setting, field, value) in texts {
            let Some(value) = value else { continue };
            reader::check_text(field, value).map_err(|message| format!("`{setting}`: {message}"))?;
        }
        for (name, size) in &self.sizes {
            let is_ordered =
                size.cpu_request.millicores() <= size.cpu_limit.millicores() && size.memory_request.bytes() <= size.memory_limit.bytes();
            if !is_ordered {
                return Err(format!("`SERVER_SIZES`: a request of `{name}` is above its limit"));
            }
            reader::check_text(&fields::SIZE, name).map_err(|message| format!("`SERVER_SIZES`: a name {message}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
