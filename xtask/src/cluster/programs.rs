//! The programs of a control plane and how they are started.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::tools;
use crate::project;

/// All of them, in the order in which they start. They stop in the reverse order, so that nobody loses what it needs.
pub(super) const NAMES: [&str; 5] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"];

/// The ports on loopback.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) etcd: u16,
    pub(super) etcd_peers: u16,
    pub(super) apiserver: u16,
    pub(super) kwok: u16,
}

/// The files that define the control plane.
pub(super) fn definitions() -> PathBuf {
    project::root().join("xtask/cluster")
}

pub(super) fn etcd(folder: &Path, ports: Ports) -> Command {
    let clients = format!("http://127.0.0.1:{}", ports.etcd);
    let peers = format!("http://127.0.0.1:{}", ports.etcd_peers);
    let mut command = Command::new(tools::program("etcd"));
    command.arg("--data-dir").arg(folder.join("etcd"));
    command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
    command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers, "--initial-cluster", &format!("default={peers}")]);
    // Nothing has to survive a crash of the machine.
    command.arg("--unsafe-no-fsync");
    command
}

pub(super) fn apiserver(folder: &Path, ports: Ports) -> Command {
    let mut command = Command::new(tools::program("kube-apiserver"));
    command.args(["--etcd-servers", &format!("http://127.0.0.1:{}", ports.etcd)]);
    command.args(["--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--secure-port", &ports.apiserver.to_string()]);
    // It makes its certificate there.
    command.arg("--cert-dir").arg(folder.join("certificates"));
    command.args(["--service-cluster-ip-range", "10.96.0.0/16"]);
    command.args(["--authorization-mode", "RBAC"]).arg("--token-auth-file").arg(folder.join("tokens.csv"));
    command.args(["--service-account-issuer", "https://kubernetes.default.svc.cluster.local"]);
    command.arg("--service-account-key-file").arg(folder.join("service-accounts.pub"));
    command.arg("--service-account-signing-key-file").arg(folder.join("service-accounts.key"));
    // Pods would wait for a token that nobody mounts.
    command.args(["--disable-admission-plugins", "ServiceAccount"]);
    // There are servers that run privileged and are to be taken over.
    command.arg("--allow-privileged=true");
    // Many tests run side by side.
    command.args(["--max-requests-inflight", "2000", "--max-mutating-requests-inflight", "1000"]);
    // For logs; the name of the node leads nowhere.
    command.args(["--kubelet-preferred-address-types", "InternalIP"]);
    command.arg("--audit-policy-file").arg(definitions().join("audit-policy.yaml"));
    command.arg("--audit-log-path").arg(folder.join("audit.log"));
    // A fifth of its work under many tests was to collect garbage; there is memory enough.
    command.env("GOGC", "400");
    command
}

pub(super) fn controller_manager(folder: &Path) -> Command {
    let mut command = Command::new(tools::program("kube-controller-manager"));
    command.arg("--kubeconfig").arg(folder.join("controller-manager.kubeconfig"));
    command.args(["--leader-elect=false", "--secure-port", "0"]);
    command.arg("--root-ca-file").arg(folder.join("certificates/apiserver.crt"));
    command.arg("--service-account-private-key-file").arg(folder.join("service-accounts.key"));
    // At its default of 20 requests a second, a benchmark would measure this limit and tests would wait for one another.
    command.args(["--kube-api-qps", "500", "--kube-api-burst", "1000"]);
    for what in ["statefulset", "replicaset", "endpoint", "service-endpoint", "namespace", "gc", "resource-quota", "serviceaccount-token"] {
        command.args([format!("--concurrent-{what}-syncs"), "50".to_owned()]);
    }
    command
}

pub(super) fn scheduler(folder: &Path) -> Command {
    let mut command = Command::new(tools::program("kube-scheduler"));
    command.arg("--kubeconfig").arg(folder.join("scheduler.kubeconfig"));
    command.args(["--leader-elect=false", "--secure-port", "0", "--kube-api-qps", "500", "--kube-api-burst", "1000"]);
    command
}

pub(super) fn kwok(folder: &Path, ports: Ports, stages: &[PathBuf]) -> Command {
    let mut command = Command::new(tools::program("kwok"));
    // The files of `kubectl logs` are named relative to it.
    command.current_dir(definitions());
    command.arg("--kubeconfig").arg(folder.join("kwok.kubeconfig"));
    for stage in stages {
        command.arg("--config").arg(stage);
    }
    command.arg("--manage-all-nodes=true").args(["--node-lease-duration-seconds", "40", "--cidr", "10.128.0.0/10"]);
    command.args(["--node-ip", "127.0.0.1", "--node-port", &ports.kwok.to_string()]);
    command.args(["--server-address", &format!("127.0.0.1:{}", ports.kwok)]);
    // The apiserver does not check whose certificate it is.
    command.arg("--tls-cert-file").arg(folder.join("certificates/apiserver.crt"));
    command.arg("--tls-private-key-file").arg(folder.join("certificates/apiserver.key"));
    command
}
