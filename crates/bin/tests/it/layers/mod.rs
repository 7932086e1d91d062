//! The arrows between the crates of the workspace, and what may be used where.
//!
//! ```text
//! naming ← domain ← kube-access ← adapters-k8s, adapters-helm ← bin
//!                 ← other adapters, http-api, port-contracts ←
//! ```

mod licences;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;

use cargo_metadata::{Dependency, DependencyKind, Metadata, MetadataCommand, Package};

/// Which crates of ours a crate may use, by folder. Adapters do not know each other, and http-api knows no adapter.
fn allowed_arrows(folder: &str) -> &'static [&'static str] {
    match folder {
        "naming" => &[],
        "domain" => &["naming"],
        "http-api" | "port-contracts" => &["naming", "domain"],
        "bin" => &["naming", "domain", "http-api", "kube-access", "adapters-*"],
        // What the two cluster adapters share of the way to the API server.
        "kube-access" => &["naming", "domain"],
        "adapters-k8s" | "adapters-helm" => &["naming", "domain", "kube-access"],
        adapter if adapter.starts_with("adapters-") => &["naming", "domain"],
        other => panic!("crates/{other} is in no layer yet: say here what it may use"),
    }
}

/// Libraries that only some crates may use directly, by the beginning of their names.
const RESERVED: &[(&str, &[&str])] = &[
    ("kube", &["kube-access", "adapters-k8s", "adapters-helm", "bin"]),
    ("k8s-openapi", &["kube-access", "adapters-k8s", "adapters-helm"]),
    ("reqwest", &["adapters-airflow"]),
    ("actix-", &["http-api", "bin"]),
    ("paperclip", &["http-api"]),
];

/// Libraries that nobody may bring in, not even through another.
const BANNED: &[&str] = &["openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys", "chrono", "actix-governor"];

/// What of tokio the domain may use: no sockets, no files, no processes, no signals. `macros` is `select!` and `join!`, which open nothing.
const DOMAIN_TOKIO: [&str; 4] = ["macros", "rt", "sync", "time"];

/// The workspace with all its dependencies on this machine's target.
fn metadata() -> &'static Metadata {
    static METADATA: OnceLock<Metadata> = OnceLock::new();
    METADATA.get_or_init(|| {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
        // Without the filter cargo would fetch the libraries of other systems, which a build does not need.
        let options = ["--locked", "--filter-platform", env!("BUILD_TARGET")].map(str::to_owned);
        MetadataCommand::new().manifest_path(manifest).other_options(options).exec().unwrap()
    })
}

/// Our crates by folder, without the developers' tools.
fn crates() -> BTreeMap<String, &'static Package> {
    let metadata = metadata();
    let folder = |package: &Package| {
        let folder = package.manifest_path.parent()?.strip_prefix(&metadata.workspace_root).ok()?;
        Some(folder.strip_prefix("crates").ok()?.as_str().to_owned())
    };
    let crates: BTreeMap<_, _> =
        metadata.workspace_packages().into_iter().filter_map(|package| Some((folder(package)?, package))).collect();
    assert!(crates.len() >= 5, "{:?}", crates.keys());
    crates
}

fn normal(package: &Package) -> impl Iterator<Item = &Dependency> {
    package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal)
}

#[test]
fn arrows_point_inward() {
    let crates = crates();
    let folders: BTreeMap<_, _> = crates.iter().map(|(folder, package)| (package.name.as_str(), folder.as_str())).collect();
    for (folder, package) in &crates {
        let allowed = allowed_arrows(folder);
        for used in normal(package).filter_map(|dependency| folders.get(dependency.name.as_str())) {
            let fits = allowed.iter().any(|pattern| pattern.strip_suffix('*').map_or(pattern == used, |start| used.starts_with(start)));
            assert!(fits, "crates/{folder} must not use crates/{used}");
        }
    }
}

#[test]
fn nothing_that_is_shipped_uses_the_tests_or_the_developers_tools() {
    for (folder, package) in crates() {
        for tool in ["xtask", "dbt-controller-port-contracts", "dbt-controller-tests"] {
            assert!(normal(package).all(|dependency| dependency.name != tool), "crates/{folder} must use {tool} in its tests only");
        }
    }
}

#[test]
fn libraries_stay_in_their_layer() {
    for (folder, package) in crates() {
        for dependency in normal(package) {
            for (library, users) in RESERVED {
                let allowed = !dependency.name.starts_with(library) || users.contains(&folder.as_str());
                assert!(allowed, "crates/{folder} must not use {}, only {users:?} may", dependency.name);
            }
        }
    }
}

#[test]
fn the_domain_is_pure() {
    let crates = crates();
    let tokio: Vec<_> = normal(crates["domain"]).filter(|dependency| dependency.name == "tokio").collect();
    for dependency in tokio {
        assert!(!dependency.uses_default_features);
        let features: BTreeSet<_> = dependency.features.iter().map(String::as_str).collect();
        assert_eq!(features, BTreeSet::from(DOMAIN_TOKIO));
    }
    let naming: Vec<_> = normal(crates["naming"]).map(|dependency| dependency.name.as_str()).collect();
    assert_eq!(naming, ["md-5", "sha2"]);
}

#[test]
fn banned_libraries_are_not_even_used_by_others() {
    let found: Vec<_> =
        metadata().packages.iter().filter(|package| BANNED.contains(&package.name.as_str())).map(|package| &package.name).collect();
    assert!(found.is_empty(), "{found:?}");
}
