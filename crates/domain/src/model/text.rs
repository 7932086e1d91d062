//! Small validated texts: namespaces, DNS names, host names, and the macro for closed sets of words.

use std::fmt;
use std::str::FromStr;

/// Why a text was refused. Reads well after the field's name; never repeats the value, which may be a secret in the wrong field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TextError(pub String);

impl TextError {
    /// An error with this explanation (lower case, no final dot).
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Defines an enum whose every value has one word, with `ALL`, `as_str`, `Display` and `FromStr`.
#[macro_export]
macro_rules! words {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name { $($(#[$vmeta])* $variant,)+ }

        impl $name {
            /// Every value, in the order of the definition.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word on the wire and in stored records.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::model::TextError;

            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::model::TextError::new(concat!("must be one of", $(" `", $word, "`",)+))),
                }
            }
        }
    };
}

/// Whether `text` is a DNS label of RFC 1123: 1 to 63 of `[a-z0-9-]`, no dash at the ends.
fn is_dns_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

macro_rules! text_type {
    ($(#[$meta:meta])* $name:ident, $parse:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = TextError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let parse: fn(&str) -> Result<String, TextError> = $parse;
                parse(text).map(Self)
            }
        }
    };
}

text_type!(
    /// A Kubernetes namespace: a DNS label of RFC 1123, 1 to 63 characters.
    Namespace,
    |text| if is_dns_label(text) {
        Ok(text.to_owned())
    } else {
        Err(TextError::new("must be a namespace name: 1 to 63 of `a-z`, `0-9` and `-`, beginning and ending with a letter or digit"))
    }
);

text_type!(
    /// The customer part of a server's host name: one DNS label, 1 to 63 characters. Host names ignore case, so upper case is lowered.
    Customer,
    |text| {
        let lower = text.to_ascii_lowercase();
        if is_dns_label(&lower) {
            Ok(lower)
        } else {
            Err(TextError::new("must be one part of a host name: 1 to 63 letters, digits and `-`, no `-` at the ends"))
        }
    }
);

text_type!(
    /// The domain part of a server's host name: DNS labels joined by dots, 1 to 63 characters in all (the contract's limit), lowered.
    Domain,
    |text| {
        let lower = text.to_ascii_lowercase();
        if lower.len() <= 63 && lower.split('.').all(is_dns_label) {
            Ok(lower)
        } else {
            Err(TextError::new("must be a DNS name of at most 63 characters, such as `example.com`"))
        }
    }
);

text_type!(
    /// The name of a StatefulSet and its Service. For our own releases it is the release's name; adopted ones put `dbt-server-` before it.
    ServerName,
    |text| if is_dns_label(text) {
        Ok(text.to_owned())
    } else {
        Err(TextError::new("must be a DNS label of at most 63 characters"))
    }
);

impl ServerName {
    /// The claim of the pod with this number: `<template>-<StatefulSet>-<ordinal>`, and our claim template has the server's name.
    #[must_use]
    pub fn claim_name(&self, ordinal: u32) -> String {
        format!("{self}-{self}-{ordinal}")
    }
}

impl From<&dbt_controller_naming::ReleaseName> for ServerName {
    fn from(release: &dbt_controller_naming::ReleaseName) -> Self {
        Self(release.as_str().to_owned())
    }
}

text_type!(
    /// How the public host name of a server is put together: a host name in which `{name}` (the server's own), `{customer}` and `{domain}`
    /// stand for these. `{name}` has to be there once at least, or all servers would have one host.
    HostTemplate,
    |text| {
        let sample = text.replace("{name}", "n").replace("{customer}", "c").replace("{domain}", "d");
        if text.contains("{name}") && sample.len() <= 253 && sample.split('.').all(is_dns_label) {
            Ok(text.to_owned())
        } else {
            Err(TextError::new("must be a host name made of `{name}`, `{customer}`, `{domain}` and lower-case letters, digits, `-` and `.`; `{name}` must be in it"))
        }
    }
);

impl HostTemplate {
    /// The host name of a server.
    pub fn host(&self, name: &ServerName, customer: &Customer, domain: &Domain) -> String {
        self.0.replace("{name}", name.as_str()).replace("{customer}", customer.as_str()).replace("{domain}", domain.as_str())
    }
}

/// The names that the replaced service gave.
impl Default for HostTemplate {
    fn default() -> Self {
        Self("{name}.{customer}.{domain}".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_a_dns_label() {
        for good in ["a", "dbt-server", &"x".repeat(63)] {
            assert!(good.parse::<Namespace>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", &"x".repeat(64), "a\nb", "ü"] {
            assert!(bad.parse::<Namespace>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_domain_is_lowered_and_its_labels_are_checked() {
        assert_eq!("Example.COM".parse::<Domain>().unwrap().as_str(), "example.com");
        for bad in ["", ".", "a..b", "a.", ".a", "a b.c", "http://a.b", "a/b", "a.b:80"] {
            assert!(bad.parse::<Domain>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_template_names_the_server_and_makes_a_host_name() {
        let host = |template: &str| {
            let template: HostTemplate = template.parse().unwrap();
            template.host(&"dbt-server-a".parse().unwrap(), &"acme".parse().unwrap(), &"example.com".parse().unwrap())
        };
        assert_eq!(host(HostTemplate::default().as_str()), "dbt-server-a.acme.example.com");
        assert_eq!(host("{name}-{customer}.dbt.{domain}"), "dbt-server-a-acme.dbt.example.com");
        for bad in
            ["", "{customer}.{domain}", "{name}.{other}", "{name}..{domain}", "{name} .{domain}", "https://{name}", "{name}.", "{Name}"]
        {
            assert!(bad.parse::<HostTemplate>().is_err(), "{bad}");
        }
    }
}
