//! The configuration of nginx.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::Source;

/// The one key, and the file's name in the pod.
pub(super) const FILE: &str = "default.conf";

const CONFIGURATION: &str = include_str!("nginx.conf");
/// The one thing in it that is not fixed.
const TIMEOUT: &str = "@PROXY_TIMEOUT_SECONDS@";

impl Source<'_> {
    pub(super) fn config_map(&self) -> ConfigMap {
        // To nginx 0 is no timeout for some of these directives and an error for others.
        let seconds = self.settings.proxy_timeout.as_secs().max(1);
        let configuration = CONFIGURATION.replace(TIMEOUT, &seconds.to_string());
        ConfigMap {
            metadata: self.metadata(self.config_map_name()),
            data: Some(BTreeMap::from([(FILE.to_owned(), configuration)])),
            ..ConfigMap::default()
        }
    }

    pub(super) fn config_map_name(&self) -> String {
        format!("{}-nginx-cm", self.server())
    }
}
