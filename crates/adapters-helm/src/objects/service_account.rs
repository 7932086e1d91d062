//! The account that a server's pod runs under.

use dbt_controller_domain::model::CloudProvider;
use k8s_openapi::api::core::v1::ServiceAccount;

use super::Source;
use crate::Security;

/// Which Google service account the pod may act as, by GKE's workload identity.
const GOOGLE_ACCOUNT: &str = "iam.gke.io/gcp-service-account";

impl Source<'_> {
    pub(super) fn service_account(&self) -> ServiceAccount {
        let request = &self.desired.request;
        let mut metadata = self.metadata(self.server().to_string());
        if let Some(account) = request.service_account.as_ref().filter(|_| request.cloud_provider == CloudProvider::Gcp) {
            metadata.annotations.get_or_insert_default().insert(GOOGLE_ACCOUNT.to_owned(), account.clone());
        }
        ServiceAccount {
            metadata,
            // A server does not call the API of Kubernetes. Workload identity needs no token in the pod: the node's metadata server asks
            // for it, and the webhooks of other clouds mount one of their own.
            automount_service_account_token: match self.settings.security {
                Security::Hardened => Some(false),
                Security::Legacy => None,
            },
            ..ServiceAccount::default()
        }
    }
}
