//! The volumes of the pod, and where its containers see them.

use dbt_controller_domain::model::Warehouse;
use k8s_openapi::api::core::v1::{ConfigMapVolumeSource, EmptyDirVolumeSource, KeyToPath, SecretVolumeSource, Volume, VolumeMount};

use crate::Security;
use crate::objects::{Source, config_map, secret};

const NGINX_CONFIG: &str = "nginx-config";
const BASIC_AUTH: &str = "basic-auth";
const WAREHOUSE: &str = "data-warehouse";
const WAREHOUSE_SCRATCH: &str = "data-warehouse-scratch";

/// Where nginx writes: caches and temporary files, its pid, and what libraries need. A volume each, for a `subPath` of one would belong
/// to root.
const NGINX_SCRATCH: [(&str, &str); 3] = [("nginx-cache", "/var/cache/nginx"), ("nginx-run", "/var/run"), ("nginx-tmp", "/tmp")];

/// Where the server writes credentials of its own making, for the warehouses for which it does.
fn scratch_path(warehouse: Warehouse) -> Option<&'static str> {
    match warehouse {
        Warehouse::Snowflake => Some("/snowsql/secrets"),
        Warehouse::Bigquery => Some("/usr/src/secret"),
        Warehouse::Redshift | Warehouse::Fabric => None,
    }
}

impl Source<'_> {
    pub(super) fn volumes(&self) -> Vec<Volume> {
        let file = |key: &str, path: &str| Some(vec![KeyToPath { key: key.to_owned(), path: path.to_owned(), ..KeyToPath::default() }]);
        let mut volumes = vec![
            Volume {
                name: NGINX_CONFIG.to_owned(),
                config_map: Some(ConfigMapVolumeSource {
                    name: self.config_map_name(),
                    items: file(config_map::FILE, config_map::FILE),
                    ..ConfigMapVolumeSource::default()
                }),
                ..Volume::default()
            },
            Volume {
                name: BASIC_AUTH.to_owned(),
                secret: Some(SecretVolumeSource {
                    secret_name: Some(self.desired.key.name.secret_name()),
                    items: file(secret::BASIC_AUTH, ".htpasswd"),
                    ..SecretVolumeSource::default()
                }),
                ..Volume::default()
            },
        ];
        if let Some(warehouse) = self.desired.request.warehouse {
            volumes.push(Volume {
                name: WAREHOUSE.to_owned(),
                secret: Some(SecretVolumeSource { secret_name: Some(warehouse.secret_name()), ..SecretVolumeSource::default() }),
                ..Volume::default()
            });
            volumes.extend(scratch_path(warehouse).map(|_| scratch(WAREHOUSE_SCRATCH)));
        }
        if self.settings.security == Security::Hardened {
            volumes.extend(NGINX_SCRATCH.map(|(name, _)| scratch(name)));
        }
        volumes
    }

    pub(super) fn server_mounts(&self) -> Vec<VolumeMount> {
        let claim = self.server().as_str();
        let mut mounts = vec![mount(claim, "/data"), mount(claim, "/usr/src/app/working-dir")];
        if let Some(warehouse) = self.desired.request.warehouse {
            mounts.push(VolumeMount { read_only: Some(true), ..mount(WAREHOUSE, "/fastbi/secrets") });
            mounts.extend(scratch_path(warehouse).map(|path| mount(WAREHOUSE_SCRATCH, path)));
        }
        mounts
    }

    pub(super) fn proxy_mounts(&self) -> Vec<VolumeMount> {
        let mut mounts = vec![
            VolumeMount {
                sub_path: Some(config_map::FILE.to_owned()),
                read_only: Some(true),
                ..mount(NGINX_CONFIG, "/etc/nginx/conf.d/default.conf")
            },
            // The whole directory, so that a new login arrives without a restart; `subPath` would freeze it.
            VolumeMount { read_only: Some(true), ..mount(BASIC_AUTH, "/etc/apache2") },
        ];
        if self.settings.security == Security::Hardened {
            mounts.extend(NGINX_SCRATCH.map(|(name, path)| mount(name, path)));
        }
        mounts
    }
}

fn scratch(name: &str) -> Volume {
    Volume { name: name.to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() }
}

fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount { name: volume.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}
