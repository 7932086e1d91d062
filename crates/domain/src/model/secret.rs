//! Secrets of a deployment, and how they are kept out of everything that leaves the service.

use secrecy::{ExposeSecret, SecretString};

/// The login of a deployed server (nginx basic auth), and of its Airflow connection.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user name: 1 to 63 characters, no colon (RFC 7617), no control characters.
    pub user: String,
    /// The password: 8 to 63 characters and at most 71 bytes (bcrypt reads no more than 72 with its terminator).
    pub password: SecretString,
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.user == other.user && self.password.expose_secret() == other.password.expose_secret()
    }
}

/// What stands where a secret was.
pub const REDACTED: &str = "***";

/// Replaces secrets in text that came from outside (logs, events, error messages of other systems).
///
/// It replaces each known secret of at least 4 characters (shorter ones would shred ordinary text), each long line of one that has
/// several (a key in PEM), the password or token within one that is a URL, and the credentials of any URL in the text.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    secrets: Vec<SecretString>,
}

impl Redactor {
    /// A redactor of these secrets; the longest is replaced first, so that one secret inside another leaves no rest.
    pub fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        let mut all = Vec::new();
        for secret in secrets {
            let text = secret.expose_secret();
            all.extend(text.lines().map(str::trim).filter(|line| line.len() >= 16).map(SecretString::from));
            all.extend(url_secret(text).map(SecretString::from));
            all.push(secret);
        }
        all.retain(|secret| secret.expose_secret().len() >= 4);
        all.sort_by(|a, b| {
            let (a, b) = (a.expose_secret(), b.expose_secret());
            b.len().cmp(&a.len()).then_with(|| a.cmp(b))
        });
        all.dedup_by(|a, b| a.expose_secret() == b.expose_secret());
        Self { secrets: all }
    }

    /// One that replaces the secrets of both.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        Self::new(self.secrets.into_iter().chain(other.secrets.iter().cloned()))
    }

    /// The text without secrets.
    pub fn redact(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for secret in &self.secrets {
            if clean.contains(secret.expose_secret()) {
                clean = clean.replace(secret.expose_secret(), REDACTED);
            }
        }
        redact_url_credentials(&clean)
    }
}

/// The password of a URL, or its user when that is all (a token): the part that other programs quote by itself.
fn url_secret(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = &rest[..rest.find('/').unwrap_or(rest.len())];
    let (user_info, _) = authority.rsplit_once('@')?;
    Some(user_info.split_once(':').map_or(user_info, |(_, password)| password))
}

/// Replaces the user information of each URL (`scheme://user:password@host`) in `text`.
fn redact_url_credentials(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + 3);
        clean.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '<' | '>')).unwrap_or(after.len());
        let authority = &after[..end];
        if let Some(at) = authority.rfind('@') {
            clean.push_str(REDACTED);
            clean.push_str(&authority[at..]);
        } else {
            clean.push_str(authority);
        }
        rest = &after[end..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_secrets_and_url_credentials_are_replaced() {
        let redactor = Redactor::new(["hunter2hunter2".into(), "hunter2".into(), "abc".into()]);
        assert_eq!(redactor.redact("login hunter2hunter2 or hunter2, abc"), "login *** or ***, abc");
        assert_eq!(
            redactor.redact("fatal: https://bot:gh_x@git.example.com/r.git and http://plain/x@y"),
            "fatal: https://***@git.example.com/r.git and http://plain/x@y"
        );
    }

    #[test]
    fn a_token_of_a_url_and_a_line_of_a_key_are_replaced_by_themselves() {
        let key = "-----BEGIN KEY-----\nabcdefgh12345678\n-----END KEY-----";
        let redactor = Redactor::new(["https://bot:ghp_123456@git.example.com/r".into(), "https://ghp_only@host/r".into(), key.into()]);
        assert_eq!(redactor.redact("token ghp_123456 or ghp_only expired; abcdefgh12345678"), "token *** or *** expired; ***");
        let both = Redactor::new(["first-one".into()]).and(&Redactor::new(["second-one".into()]));
        assert_eq!(both.redact("first-one second-one"), "*** ***");
    }

    #[test]
    fn an_at_sign_in_the_password_leaves_no_rest() {
        assert_eq!(Redactor::default().redact("https://u:p@ss@host/x"), "https://***@host/x");
    }

    #[test]
    fn credentials_do_not_print_their_password() {
        let credentials = Credentials { user: "u".into(), password: "hunter2hunter2".into() };
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
