//! Helm release names and what is named after them.

use crate::slug::Layout;
use crate::text::{check_characters, check_length, checked_text};
use crate::{Identity, NameError, NameForm, hash};

/// The name of a Helm release.
///
/// A server of ours carries one name on its release, `StatefulSet`, Service and claim template:
/// `dbt-server-<project>-<branch>`, a DNS label of at most [`OWN_MAX_LENGTH`](Self::OWN_MAX_LENGTH)
/// characters. Parsing accepts everything that Helm accepts, because releases of other makers are
/// read too.
///
/// The derived names are those of the objects of our own releases. An adopted release may have
/// named its objects otherwise, and its manifest tells how.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseName(String);

impl ReleaseName {
    /// What every release name that we make begins with.
    pub const PREFIX: &str = "dbt-server-";

    /// The most characters that Helm takes: 63 of a DNS label less 10 for what charts add.
    ///
    /// See
    /// [`ValidateReleaseName`](https://github.com/helm/helm/blob/v3.19.0/pkg/chartutil/validate_name.go).
    pub const MAX_LENGTH: usize = 53;

    /// The most characters of a name that we make: 63 − 1 dash − 10 of the revision hash.
    ///
    /// The control plane labels each pod with `controller-revision-hash: <StatefulSet>-<hash>`.
    /// With a longer name that label is invalid, and the `StatefulSet` never gets a pod
    /// ([kubernetes#64023](https://github.com/kubernetes/kubernetes/issues/64023)).
    pub const OWN_MAX_LENGTH: usize = 52;

    /// The most characters of a release of the replaced service whose server can run: its
    /// `StatefulSet` has [`PREFIX`](Self::PREFIX) before the release's name, and at most
    /// [`OWN_MAX_LENGTH`](Self::OWN_MAX_LENGTH) characters.
    pub const ADOPTABLE_MAX_LENGTH: usize = Self::OWN_MAX_LENGTH - Self::PREFIX.len();

    const LAYOUT: Layout = Layout { separator: "-", lead: "dbt-server", stand_in: "dbt-server", max_length: Self::OWN_MAX_LENGTH };

    const CONFIG_MAP_SUFFIX: &str = "-nginx-cm";
    const SECRET_PREFIX: &str = "dbt-server-secret-";
    const TLS_SECRET_PREFIX: &str = "dbt-server-tls-";
    const OPERATION_PREFIX: &str = "dbt-controller-op.";

    const RULE: &str = "may contain only lower case letters, digits, dashes and dots";

    pub(crate) fn of(identity: &Identity, form: NameForm) -> Self {
        Self(Self::LAYOUT.name(identity, form))
    }

    /// The claim of the pod with this number. The control plane makes it from the claim template:
    /// `<template>-<StatefulSet>-<ordinal>`, which for us is the same name twice.
    #[must_use]
    pub fn claim_name(&self, ordinal: u32) -> String {
        format!("{self}-{self}-{ordinal}")
    }

    /// The pod with this number.
    #[must_use]
    pub fn pod_name(&self, ordinal: u32) -> String {
        format!("{self}-{ordinal}")
    }

    /// The Secret with the server's credentials.
    #[must_use]
    pub fn secret_name(&self) -> String {
        format!("{}{self}", Self::SECRET_PREFIX)
    }

    /// The `ConfigMap` with the configuration of nginx.
    #[must_use]
    pub fn config_map_name(&self) -> String {
        format!("{self}{}", Self::CONFIG_MAP_SUFFIX)
    }

    /// The Secret with the certificate of the Ingress.
    #[must_use]
    pub fn tls_secret_name(&self) -> String {
        format!("{}{self}", Self::TLS_SECRET_PREFIX)
    }

    /// The Secret in which the controller keeps the operations on this release. The dot keeps it
    /// apart from every name that we make for a server, for those are DNS labels.
    #[must_use]
    pub fn operation_object_name(&self) -> String {
        format!("{}{self}", Self::OPERATION_PREFIX)
    }

    /// What Helm accepts: `^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`, at
    /// most 53 characters.
    fn check(value: &str) -> Result<(), NameError> {
        check_length(value, Self::MAX_LENGTH)?;
        check_characters(value, is_allowed, Self::RULE)?;
        let is_label = |part: &str| !part.is_empty() && !part.starts_with('-') && !part.ends_with('-');
        if value.split('.').all(is_label) { Ok(()) } else { Err(NameError::Edge) }
    }
}

checked_text!(ReleaseName);

fn is_allowed(character: char) -> bool {
    matches!(character, 'a'..='z' | '0'..='9' | '-' | '.')
}

/// The proofs that no derived name is too long, whatever the identity.
const _: () = {
    /// A label's value, and what must be a DNS label: Service, host name, volume.
    /// <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>
    const LABEL: usize = 63;
    /// A name of the kinds that take a DNS subdomain: Secret, ConfigMap, claim.
    const SUBDOMAIN: usize = 253;
    /// The revision hash is a 32-bit number in decimal, its digits replaced by letters.
    /// `ControllerRevisionName` in
    /// <https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/controller/history/controller_history.go>
    const REVISION_HASH: usize = digits(u32::MAX);
    const ORDINAL: usize = digits(u32::MAX);
    const OWN: usize = ReleaseName::OWN_MAX_LENGTH;
    const ANY: usize = ReleaseName::MAX_LENGTH;

    // The lead is the prefix without its dash, and a hashed name has room for both.
    assert!(ReleaseName::LAYOUT.lead.len() + 1 == ReleaseName::PREFIX.len());
    assert!(ReleaseName::PREFIX.len() + hash::LONG <= OWN);

    // Ours: labels, and kinds that ask for a DNS label.
    assert!(OWN <= ANY);
    assert!(OWN + 1 + REVISION_HASH <= LABEL);
    assert!(OWN + 1 + ORDINAL <= LABEL);
    assert!(OWN + ReleaseName::CONFIG_MAP_SUFFIX.len() <= LABEL);

    // Everybody's: kinds that take more.
    assert!(ANY + 1 + ANY + 1 + ORDINAL <= SUBDOMAIN);
    assert!(ReleaseName::SECRET_PREFIX.len() + ANY <= SUBDOMAIN);
    assert!(ReleaseName::TLS_SECRET_PREFIX.len() + ANY <= SUBDOMAIN);
    assert!(ReleaseName::OPERATION_PREFIX.len() + ANY <= SUBDOMAIN);

    const fn digits(number: u32) -> usize {
        number.ilog10() as usize + 1
    }
};
