//! What requests leave out.

use dbt_controller_domain::model::Namespace;
use dbt_controller_http_api::RequestDefaults;

use super::reader::{Noted, Reader};
use super::table::{
    CLOUD_PROVIDER, DEFAULT_CUSTOMER, DEFAULT_DOMAIN, DEFAULT_TAG, GCP_SERVICE_ACCOUNT, SERVER_HOST_TEMPLATE, SERVER_SIZES,
};
use super::{sizes, values};

/// Reads all of it but the namespaces, which the workflows share.
pub(super) fn read(reader: &mut Reader) -> Result<impl FnOnce(Vec<Namespace>) -> RequestDefaults + use<>, Noted> {
    let customer = reader.optional(DEFAULT_CUSTOMER, |text| text.parse());
    let domain = reader.optional(DEFAULT_DOMAIN, |text| text.parse());
    let host_template = reader.value(SERVER_HOST_TEMPLATE, |text| text.parse());
    let tag = reader.optional(DEFAULT_TAG, values::tag);
    let cloud_provider = reader.value(CLOUD_PROVIDER, |text| text.parse());
    let service_account = reader.optional(GCP_SERVICE_ACCOUNT, values::email);
    let sizes = reader.optional(SERVER_SIZES, sizes::parse);
    let (customer, domain, host_template, tag, cloud_provider) = (customer?, domain?, host_template?, tag?, cloud_provider?);
    let (service_account, sizes) = (service_account?, sizes?.unwrap_or_default());
    Ok(move |namespaces| RequestDefaults { namespaces, customer, domain, host_template, tag, cloud_provider, service_account, sizes })
}
