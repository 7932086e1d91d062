//! From the text of a setting to its value. The errors read well after the variable's name and never repeat the text.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use dbt_controller_domain::model::{Namespace, TextError};
use secrecy::SecretString;

/// A year. Longer times are typing errors, and far longer ones overflow the clock.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A boolean in the usual words.
pub(crate) fn flag(text: &str) -> Result<bool, TextError> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(TextError::new("must be `true` or `false`")),
    }
}

/// A whole number in a range.
pub(crate) fn number<T>(min: T, max: T) -> impl Fn(&str) -> Result<T, TextError>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    move |text| match text.parse::<T>() {
        Ok(number) if number >= min && number <= max => Ok(number),
        _ => Err(TextError::new(format!("must be a whole number from {min} to {max}"))),
    }
}

/// A time such as `30m`, `1h`, `25s`, `250ms`; a number without a unit counts seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, TextError> {
    let wrong = || TextError::new("must be a time such as `30m`, `1h`, `25s` or `250ms`");
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit_at);
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    let milliseconds = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let time = count.checked_mul(milliseconds).map(Duration::from_millis);
    time.filter(|time| *time <= LONGEST).ok_or_else(|| TextError::new("must be a year (8760h) at most"))
}

/// A time of at least so much.
pub(crate) fn duration_from(min: Duration) -> impl Fn(&str) -> Result<Duration, TextError> {
    move |text| match duration(text)? {
        time if time < min => Err(TextError::new(format!("must be {min:?} or longer"))),
        time => Ok(time),
    }
}

/// Texts separated by commas; the spaces around them do not count, and neither do empty ones.
pub(crate) fn list(text: &str) -> Result<Vec<String>, TextError> {
    Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
}

/// Namespaces separated by commas.
pub(crate) fn namespaces(text: &str) -> Result<Vec<Namespace>, TextError> {
    list(text)?.iter().map(|item| item.parse()).collect()
}

/// Origins of web pages, as browsers send them: `scheme://host[:port]`, or `*`.
pub(crate) fn origins(text: &str) -> Result<Vec<String>, TextError> {
    let origins = list(text)?;
    let is_origin = |origin: &String| origin == "*" || is_origin(origin);
    if !origins.iter().all(is_origin) {
        return Err(TextError::new("must be `*` or origins such as `https://example.com` or `http://localhost:3000`, separated by commas"));
    }
    if origins.len() > 1 && origins.iter().any(|origin| origin == "*") {
        return Err(TextError::new("must be `*` alone, which is every origin, or origins without `*`"));
    }
    Ok(origins)
}

fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b'?' | b'#' | b'@' | b'*'))
    })
}

/// An IP address to listen on. `localhost` is taken as the address that it has everywhere.
pub(crate) fn address(text: &str) -> Result<IpAddr, TextError> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    text.parse().map_err(|_| TextError::new("must be an IP address such as `0.0.0.0`, `127.0.0.1` or `::`"))
}

/// A bearer token. It has to fit into a header and is told apart from the scheme by a space.
pub(crate) fn token(text: &str) -> Result<SecretString, TextError> {
    if text.is_empty() {
        return Err(TextError::new("must not be empty: everybody could call the service"));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(TextError::new("must be of visible ASCII characters without spaces, or no caller can send it as a bearer token"));
    }
    Ok(text.into())
}

/// An e-mail address, as far as a typing error shows.
pub(crate) fn email(text: &str) -> Result<String, TextError> {
    let is_email = text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.') && !host.contains('@'));
    if is_email && text.len() <= 255 && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(TextError::new("must be an e-mail address"))
    }
}

/// An image's tag.
pub(crate) fn tag(text: &str) -> Result<String, TextError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if (1..=128).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with(['.', '-']) {
        Ok(text.to_owned())
    } else {
        // OCI distribution specification, "Pulling manifests": `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
        Err(TextError::new("must be an image tag: 1 to 128 letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`"))
    }
}
