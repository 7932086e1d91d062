//! TLS with a certificate of one's own authority.

use dbt_controller_domain::ports::{ConnectionError, ConnectionStore as _};
use dbt_controller_port_contracts::fixtures::fence;
use tempfile::TempDir;

use crate::adapter::{adapter, connection, settings};
use dbt_controller_tests::airflow::{Server, admin};

// An authority, a certificate of it for loopback, and another authority of the same name.
const AUTHORITY: &str = r#"
import datetime, ipaddress, pathlib, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
folder = pathlib.Path(sys.argv[1])
now = datetime.datetime.now(datetime.timezone.utc)
def name(text): return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
def certificate(subject, key, issuer, signer, authority, names=()):
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256())
def write(file, *parts): (folder / file).write_bytes(b"".join(parts))
def pem(item): return item.public_bytes(serialization.Encoding.PEM)
for file in ("ca", "other"):
    key = ec.generate_private_key(ec.SECP256R1())
    ca = certificate(name("tests"), key, name("tests"), key, True)
    write(f"{file}.pem", pem(ca))
    server = ec.generate_private_key(ec.SECP256R1())
    leaf = certificate(name("airflow"), server, name("tests"), key, False, [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    write(f"{file}-server.pem", pem(leaf))
    write(f"{file}-server.key", server.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
"#;

#[tokio::test]
async fn only_the_authority_of_the_setting_is_trusted() {
    let folder = TempDir::new().unwrap();
    let path = |file: &str| folder.path().join(file);
    Server::shared().python(AUTHORITY, &[folder.path().to_str().unwrap()]).await;
    let certificate = format!("TLS_CERT={}", path("ca-server.pem").display());
    let server = Server::start(&[&certificate, &format!("TLS_KEY={}", path("ca-server.key").display())]).await;
    let url = format!("https://{}", server.address());
    let wanted = connection("tls");

    let mut trusted = settings(&url, admin());
    trusted.ca_certificates = Some(std::fs::read(path("ca.pem")).unwrap());
    let store = adapter(trusted);
    store.put(&wanted, None, &fence()).await.unwrap();
    assert!(store.get(&wanted.id).await.unwrap().unwrap().agrees_with(&wanted));

    let mut other = settings(&url, admin());
    other.ca_certificates = Some(std::fs::read(path("other.pem")).unwrap());
    for store in [adapter(other), adapter(settings(&url, admin()))] {
        let answer = store.get(&wanted.id).await;
        let Err(ConnectionError::Unavailable(why)) = answer else { panic!("{answer:?}") };
        assert!(why.to_string().contains("certificate"), "{why}");
    }
}
