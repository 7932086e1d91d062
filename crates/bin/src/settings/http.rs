//! Who may call, from where and how often.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use secrecy::{ExposeSecret, SecretString};

use super::reader::{Noted, Reader};
use super::table::{CORS_ORIGINS, HOST, MAX_CONNECTIONS, PORT, REQUESTS_PER_SECOND, SECRET_KEY, SECRET_KEY_PREVIOUS};
use super::values;

/// Who may call, from where and how often.
#[derive(Debug)]
pub(crate) struct HttpSettings {
    /// Where the service listens.
    pub(crate) listen: ListenSettings,
    /// `SECRET_KEY`; none only with `--embedded`, which makes one.
    pub(crate) token: Option<SecretString>,
    /// `SECRET_KEY_PREVIOUS`.
    pub(crate) previous_token: Option<SecretString>,
    /// `CORS_ORIGINS`.
    pub(crate) cors_origins: Vec<String>,
    /// `REQUESTS_PER_SECOND`.
    pub(crate) requests_per_second: u32,
    /// `MAX_CONNECTIONS`.
    pub(crate) max_connections: u16,
}

/// Where the service listens.
#[derive(Debug)]
pub(crate) struct ListenSettings {
    /// `HOST`.
    pub(crate) host: IpAddr,
    /// `PORT`.
    pub(crate) port: u16,
}

// === impl HttpSettings ===

impl HttpSettings {
    /// A shorter token can be guessed in a reasonable time. It is warned of, not refused: existing installations have their key, which
    /// the replaced service took whatever its length, and so do the examples in its documentation (`your-secret-key`).
    const GOOD_TOKEN_LENGTH: usize = 16;

    /// Whether a token is so short that the operator should hear of it.
    pub(crate) fn has_short_token(&self) -> bool {
        [&self.token, &self.previous_token].into_iter().flatten().any(|token| token.expose_secret().len() < Self::GOOD_TOKEN_LENGTH)
    }

    pub(super) fn read(reader: &mut Reader) -> Result<Self, Noted> {
        let token =
            if reader.embedded() && !reader.is_given(SECRET_KEY) { Ok(None) } else { reader.value(SECRET_KEY, values::token).map(Some) };
        let previous_token = reader.optional(SECRET_KEY_PREVIOUS, values::token);
        if let (Ok(Some(token)), Ok(Some(previous))) = (&token, &previous_token)
            && token.expose_secret() == previous.expose_secret()
        {
            reader.fault(SECRET_KEY_PREVIOUS.name, "must not be the same as `SECRET_KEY`: the old key would never be out of use");
        }
        let listen = ListenSettings::read(reader);
        let cors_origins = reader.value(CORS_ORIGINS, values::origins);
        let requests_per_second = reader.value(REQUESTS_PER_SECOND, values::number(1, 1_000_000));
        let max_connections = reader.value(MAX_CONNECTIONS, values::number(1, u16::MAX));
        Ok(Self {
            listen: listen?,
            token: token?,
            previous_token: previous_token?,
            cors_origins: cors_origins?,
            requests_per_second: requests_per_second?,
            max_connections: max_connections?,
        })
    }
}

// === impl ListenSettings ===

impl ListenSettings {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, Noted> {
        let host = reader.value(HOST, values::address);
        let port = reader.value(PORT, values::number(0, u16::MAX));
        Ok(Self { host: host?, port: port? })
    }

    /// The address to listen on.
    pub(crate) fn address(&self) -> SocketAddr {
        (self.host, self.port).into()
    }

    /// The address at which a process of the same machine reaches it.
    pub(crate) fn local_address(&self) -> SocketAddr {
        reachable((self.host, self.port).into())
    }
}

/// The address at which a process of the same machine reaches a listener.
pub(crate) fn reachable(listener: SocketAddr) -> SocketAddr {
    let host = match listener.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    (host, listener.port()).into()
}
