//! Which Airflow, and who we are there.

use dbt_controller_adapters_airflow::AirflowSettings;
use dbt_controller_domain::model::{Namespace, TextError};
use secrecy::SecretString;

use super::reader::{Noted, Reader};
use super::table::{AIRFLOW_CA_FILE, AIRFLOW_PASSWORD, AIRFLOW_URL, AIRFLOW_USER, KUBERNETES_NAMESPACE, SLEEP_WITH_DAGS};
use super::values;

/// Reads the settings of Airflow: none without an address. What has no effect without it is refused.
pub(super) fn read(reader: &mut Reader) -> Result<Option<AirflowSettings>, Noted> {
    let url = reader.optional(AIRFLOW_URL, |text| Ok(text.to_owned()))?;
    let user = reader.optional(AIRFLOW_USER, |text| Ok(text.to_owned()))?;
    let password = reader.optional(AIRFLOW_PASSWORD, |text| Ok(SecretString::from(text)))?;
    let ca_certificates = reader.optional(AIRFLOW_CA_FILE, file);
    let Some(url) = url else {
        let sleeps = !reader.embedded() && reader.glance(SLEEP_WITH_DAGS, values::flag) == Some(true);
        let idle = [
            (user.is_some(), AIRFLOW_USER),
            (password.is_some(), AIRFLOW_PASSWORD),
            (!matches!(ca_certificates, Ok(None)), AIRFLOW_CA_FILE),
            (sleeps, SLEEP_WITH_DAGS),
        ];
        let idle: Vec<_> = idle.into_iter().filter(|(is_given, _)| *is_given).map(|(_, setting)| setting.name).collect();
        if idle.is_empty() {
            return Ok(None);
        }
        return Err(reader.fault(AIRFLOW_URL.name, &format!("is required beside {}", idle.join(", "))));
    };
    for (is_given, setting) in [(user.is_some(), AIRFLOW_USER), (password.is_some(), AIRFLOW_PASSWORD)] {
        if !is_given && !reader.is_faulty(setting) {
            reader.fault(setting.name, "is required beside AIRFLOW_URL");
        }
    }
    let namespace = reader.glance(KUBERNETES_NAMESPACE, str::parse::<Namespace>);
    let is_whole = user.is_some() && password.is_some() && ca_certificates.is_ok() && namespace.is_some();
    // What is missing stands for something good, so that the rest is looked at all the same.
    let settings = AirflowSettings {
        url,
        user: user.unwrap_or_else(|| "missing".to_owned()),
        password: password.unwrap_or_else(|| SecretString::from("missing")),
        ca_certificates: ca_certificates.unwrap_or_default(),
        namespace: namespace.map_or_else(|| "missing".parse(), Ok).map_err(|_| Noted)?,
    };
    match settings.check() {
        Ok(()) if is_whole => Ok(Some(settings)),
        Ok(()) => Err(Noted),
        Err(error) => Err(reader.fault(error.variable, &error.message)),
    }
}

fn file(path: &str) -> Result<Vec<u8>, TextError> {
    std::fs::read(path).map_err(|error| TextError::new(format!("names a file that cannot be read: {error}")))
}
