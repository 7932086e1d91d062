//! Deployments of the replaced service, with an Airflow in memory.

use dbt_controller_adapters_memory::ForeignConnection;
use dbt_controller_domain::model::{DeployRequest, ReleaseKey};
use dbt_controller_domain::naming::ConnectionId;
use dbt_controller_port_contracts::fixtures;
use dbt_controller_tests::HelmVersion;
use dbt_controller_tests::replaced::{self, Deployment, SecretField};
use secrecy::ExposeSecret as _;

use super::stage::{Stage, name_of};

/// How it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Maker {
    /// The Helm that the service called.
    pub(crate) helm: HelmVersion,
    /// Where its Secret has its values.
    pub(crate) secret: SecretField,
}

/// A deployment of the replaced service.
pub(crate) struct Replaced {
    pub(crate) key: ReleaseKey,
    /// What its objects are called.
    pub(crate) server: String,
    pub(crate) connection: ConnectionId,
    /// Its URL in Airflow.
    pub(crate) url: String,
}

impl Maker {
    /// All that are in use.
    pub(crate) const ALL: [Self; 4] = [
        Self { helm: HelmVersion::V3, secret: SecretField::StringData },
        Self { helm: HelmVersion::V3, secret: SecretField::Data },
        Self { helm: HelmVersion::V4, secret: SecretField::StringData },
        Self { helm: HelmVersion::V4, secret: SecretField::Data },
    ];

    /// Deploys as the replaced service did. It does not wait for the server.
    pub(crate) async fn deploy(self, stage: &Stage, request: &DeployRequest) -> Replaced {
        let name = request.identity.replaced_release_name().unwrap();
        let key = ReleaseKey { namespace: name_of(&stage.namespace), name };
        let (release, project) = (key.name.as_str(), request.identity.project().as_str());
        let login = fixtures::credentials("old");
        let deployment = Deployment { release, project, login: (&login.user, login.password.expose_secret()), secret: self.secret };
        deployment.install(stage.helm(self.helm)).await;
        let (server, url) = (replaced::server(release), replaced::url(release, key.namespace.as_str()));
        let connection: ConnectionId = release.parse().unwrap();
        let known = ForeignConnection::of_replaced_service(connection.clone(), key.clone(), &url, &login);
        stage.airflow.plant(known);
        Replaced { key, server, connection, url }
    }
}
