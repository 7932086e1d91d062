//! Which Airflow, and who we are there.

use dbt_controller_adapters_airflow::AirflowSettings;
use dbt_controller_domain::model::{Settings, TextError};
use secrecy::SecretString;

use super::reader::{Noted, Reader};
use super::table::{AIRFLOW_CA_FILE, AIRFLOW_PASSWORD, AIRFLOW_URL, AIRFLOW_USER, SLEEP_WITH_DAGS};

/// Reads the settings of Airflow: none without an address. What has no effect without it is refused.
pub(super) fn read(reader: &mut Reader, workflows: Option<&Settings>) -> Result<Option<AirflowSettings>, Noted> {
    let url = reader.optional(AIRFLOW_URL, |text| Ok(text.to_owned()));
    let user = reader.optional(AIRFLOW_USER, |text| Ok(text.to_owned()));
    let password = reader.optional(AIRFLOW_PASSWORD, |text| Ok(SecretString::from(text)));
    let ca_certificates = reader.optional(AIRFLOW_CA_FILE, file);
    let (url, user, password, ca_certificates) = (url?, user?, password?, ca_certificates?);
    let Some(url) = url else {
        let sleeps = workflows.is_some_and(|settings| settings.sleep_with_dags) && !reader.embedded();
        let idle = [
            (user.is_some(), AIRFLOW_USER),
            (password.is_some(), AIRFLOW_PASSWORD),
            (ca_certificates.is_some(), AIRFLOW_CA_FILE),
            (sleeps, SLEEP_WITH_DAGS),
        ];
        let idle: Vec<_> = idle.into_iter().filter(|(is_given, _)| *is_given).map(|(_, setting)| setting.name).collect();
        if idle.is_empty() {
            return Ok(None);
        }
        return Err(reader.fault(AIRFLOW_URL.name, &format!("is required beside {}", idle.join(", "))));
    };
    let given = user.is_some() && password.is_some();
    for (is_given, setting) in [(user.is_some(), AIRFLOW_USER), (password.is_some(), AIRFLOW_PASSWORD)] {
        if !is_given {
            reader.fault(setting.name, "is required beside AIRFLOW_URL");
        }
    }
    let Some(workflows) = workflows else { return Err(Noted) };
    // What is missing stands for something good, so that the rest is looked at all the same.
    let user = user.unwrap_or_else(|| "missing".to_owned());
    let password = password.unwrap_or_else(|| SecretString::from("missing"));
    let settings = AirflowSettings { url, user, password, ca_certificates, namespace: workflows.home().clone() };
    match settings.check() {
        Ok(()) if given => Ok(Some(settings)),
        Ok(()) => Err(Noted),
        Err(error) => Err(reader.fault(error.variable, &error.message)),
    }
}

fn file(path: &str) -> Result<Vec<u8>, TextError> {
    std::fs::read(path).map_err(|error| TextError::new(format!("names a file that cannot be read: {error}")))
}
