//! What Airflow takes as a connection. What it does not take is refused before a call, with a reason.

use dbt_controller_domain::model::Connection;
use secrecy::ExposeSecret as _;

use crate::fault::Fault;

/// The most characters of a host: Airflow 2 answers 400 to more, and the column holds no more.
const HOST_LIMIT: usize = 500;
/// What Airflow shows instead of a password, and takes for "unchanged".
const MASK: &str = "***";

/// Refuses what would not be stored as it is. Ids are held to Airflow's rules by their type.
pub(crate) fn check(connection: &Connection) -> Result<(), Fault> {
    let Connection { id: _, owner: _, url, credentials } = connection;
    let refused = |why: &str| Err(Fault::Rejected(why.to_owned()));
    if url.chars().count() > HOST_LIMIT {
        return Err(Fault::Rejected(format!("host: longer than {HOST_LIMIT} characters")));
    }
    // A password is stored encrypted, so it may hold one.
    for (field, text) in [("host", url), ("login", &credentials.user)] {
        if text.contains('\0') {
            return Err(Fault::Rejected(format!("{field}: has a NUL character, which PostgreSQL does not store")));
        }
    }
    match credentials.password.expose_secret() {
        "" => refused("password: is empty, and Airflow takes an empty one for \"unchanged\""),
        MASK => refused("password: is what Airflow shows instead of passwords, and takes for \"unchanged\""),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use dbt_controller_port_contracts::fixtures;

    use super::*;

    fn checked(change: impl FnOnce(&mut Connection)) -> Result<(), String> {
        let identity = fixtures::fresh_identity("content");
        let owner = fixtures::release_key(&fixtures::namespace(), &identity);
        let mut connection = fixtures::connection(&owner, &"a".parse().unwrap());
        change(&mut connection);
        check(&connection).map_err(|fault| format!("{fault:?}"))
    }

    #[test]
    fn only_what_would_not_be_stored_as_it_is_is_refused() {
        assert_eq!(checked(|_| ()), Ok(()));
        for password in ["****", "***a", " ", "\u{1}\n\0", "p@ss:w/rd?#%\"'\\{}é", &"x".repeat(6000)] {
            assert_eq!(checked(|connection| connection.credentials.password = password.into()), Ok(()), "{password:?}");
        }
        assert_eq!(checked(|connection| connection.url = "é".repeat(500)), Ok(()));
        assert!(checked(|connection| connection.url = "é".repeat(501)).is_err());
        assert!(checked(|connection| connection.url = "a\0".to_owned()).is_err());
        assert!(checked(|connection| connection.credentials.user = "a\0".to_owned()).is_err());
        assert!(checked(|connection| connection.credentials.password = "".into()).is_err());
        assert!(checked(|connection| connection.credentials.password = "***".into()).is_err());
    }
}
