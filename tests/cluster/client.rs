//! What the adapters are given when a test makes them itself.

use std::time::Duration;

use dbt_controller_domain::ports::Clock;
use dbt_controller_tests::Kubeconfig;
use jiff::Timestamp;
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use tempfile::TempDir;

/// A client as the service makes it, by this kubeconfig.
pub(crate) async fn client(kubeconfig: Kubeconfig) -> Client {
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = TempDir::new().unwrap();
    let kubeconfig = kube::config::Kubeconfig::read_from(kubeconfig.write(&folder)).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    config.connect_timeout = Some(Duration::from_secs(5));
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

/// The clock on the wall.
pub(crate) struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "what is written to the control plane carries real times")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
