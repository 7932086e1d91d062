//! Who may use a control plane, and with what.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::json;

/// Who uses a control plane with full rights: the developer, and its programs under names of their own, so that the audit log tells them
/// apart.
pub(super) const USERS: [(&str, &str); 4] = [
    ("kubeconfig", "admin"),
    ("controller-manager.kubeconfig", "system:kube-controller-manager"),
    ("scheduler.kubeconfig", "system:kube-scheduler"),
    ("kwok.kubeconfig", "kwok"),
];

/// The name of the context.
const CONTEXT: &str = "cluster-tier";

/// Makes the keys for tokens of ServiceAccounts, and a token for each user.
pub(super) fn prepare(folder: &Path) -> anyhow::Result<()> {
    let key = openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])?;
    let path = folder.join("service-accounts.key");
    write_private(&path, &key)?;
    let public = openssl(&["pkey", "-in", &path.to_string_lossy(), "-pubout"])?;
    write_private(&folder.join("service-accounts.pub"), &public)?;
    let mut tokens = String::new();
    for (_, user) in USERS {
        let token = openssl(&["rand", "-hex", "16"])?;
        tokens.push_str(&format!("{},{user},{user},\"system:masters\"\n", token.trim()));
    }
    write_private(&folder.join("tokens.csv"), &tokens)
}

/// Writes a kubeconfig for each user.
pub(super) fn write_kubeconfigs(folder: &Path, server: &str) -> anyhow::Result<()> {
    let tokens = fs::read_to_string(folder.join("tokens.csv")).context("cannot read the tokens")?;
    for ((file, user), line) in USERS.into_iter().zip(tokens.lines()) {
        let token = line.split(',').next().unwrap_or_default();
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": CONTEXT, "cluster": {"server": server, "certificate-authority": folder.join("certificates/apiserver.crt")}}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": user}}],
            "current-context": CONTEXT,
        });
        write_private(&folder.join(file), &format!("{config:#}\n"))?;
    }
    Ok(())
}

fn openssl(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("openssl").args(arguments).stdin(Stdio::null()).stderr(Stdio::piped()).output();
    let output = output.context("cannot start `openssl`, which makes keys and tokens: install it")?;
    if !output.status.success() {
        bail!("`openssl {}` ended with {}: {}", arguments.join(" "), output.status, String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).context("openssl wrote something other than UTF-8")
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| format!("cannot write {}", path.display()))
}
