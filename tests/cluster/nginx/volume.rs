//! Volumes, with the owners and modes that a kubelet gives them.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dbt_controller_tests::Namespace;
use serde_json::Value;

use super::spec::{list, only};

/// Makes a volume of a pod, once, in a folder with all of them. Returns where it is.
pub(super) async fn make(volume: &Value, group: Option<u32>, namespace: &Namespace, folder: &Path) -> PathBuf {
    let path = folder.join(text(&volume["name"]));
    if path.exists() {
        return path;
    }
    only(volume, &["name", "configMap", "secret", "emptyDir"]);
    only(&volume["emptyDir"], &[]);
    fs::create_dir_all(&path).unwrap();
    let (config_map, secret) = (&volume["configMap"], &volume["secret"]);
    if config_map.is_object() {
        only(config_map, &["name", "items", "defaultMode"]);
        let object = namespace.get("configmap", text(&config_map["name"])).await;
        write(&path, config_map, |key| text(&object["data"][key]).as_bytes().to_vec());
    } else if secret.is_object() {
        only(secret, &["secretName", "items", "defaultMode"]);
        let object = namespace.get("secret", text(&secret["secretName"])).await;
        write(&path, secret, |key| BASE64.decode(text(&object["data"][key])).unwrap());
    }
    set_mode(&path, 0o777);
    if let Some(group) = group {
        give_to(group, &path);
    }
    path
}

/// Writes the asked-for keys as files. A kubelet puts them into a folder of their own that a link leads to, and exchanges that at once.
///
/// <https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/volume/util/atomic_writer.go>
fn write(volume: &Path, source: &Value, content: impl Fn(&str) -> Vec<u8>) {
    let data = volume.join("..2026_01_01_00_00_00.1");
    fs::create_dir(&data).unwrap();
    set_mode(&data, 0o755);
    symlink(data.file_name().unwrap(), volume.join("..data")).unwrap();
    assert!(!list(&source["items"]).is_empty(), "this test has to learn how all keys of a volume are mounted: {source}");
    for item in list(&source["items"]) {
        only(item, &["key", "path", "mode"]);
        let file = text(&item["path"]);
        fs::write(data.join(file), content(text(&item["key"]))).unwrap();
        let mode = item["mode"].as_u64().or(source["defaultMode"].as_u64()).unwrap();
        set_mode(&data.join(file), mode.try_into().unwrap());
        symlink(Path::new("..data").join(file), volume.join(file)).unwrap();
    }
}

/// What `fsGroup` does to a volume.
///
/// <https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/volume/volume_linux.go>
fn give_to(group: u32, path: &Path) {
    if path.is_symlink() {
        return;
    }
    chown(path, None, Some(group)).unwrap();
    let mode = fs::metadata(path).unwrap().permissions().mode();
    if path.is_dir() {
        set_mode(path, mode | 0o2770);
        fs::read_dir(path).unwrap().for_each(|entry| give_to(group, &entry.unwrap().path()));
    } else {
        set_mode(path, mode | 0o440);
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}
