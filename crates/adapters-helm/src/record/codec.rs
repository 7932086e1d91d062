//! A record's payload: base64 of gzip of JSON.
//!
//! As Helm does it in [`encodeRelease` and `decodeRelease`][util], except that there is a limit to what is unpacked.
//!
//! [util]: https://github.com/helm/helm/blob/v4.3.1/pkg/storage/driver/util.go

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

/// The most bytes of a Secret's data.
/// <https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size>
pub(crate) const MAX_SECRET_BYTES: usize = 1 << 20;

/// The most bytes that a payload may unpack to. JSON of releases shrinks to a tenth or so; what shrinks to a thirtieth of the largest
/// Secret was made to exhaust whoever reads it.
const MAX_JSON_BYTES: u64 = 32 << 20;

/// Records of Helm's first days were not compressed; Helm tells them by this.
const GZIP_MAGIC: [u8; 3] = [0x1f, 0x8b, 0x08];

/// Why a record cannot be read. Says nothing of its content, which holds secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("it is of type `{0}`, which this version does not know")]
    Format(String),
    #[error("its name is that of storage format {0}, which this version does not know")]
    FormatNumber(u32),
    #[error("the Secret has no key `release`")]
    Empty,
    #[error("it is no valid base64")]
    Base64,
    #[error("it cannot be decompressed")]
    Gzip,
    #[error("it unpacks to more than {} MiB", MAX_JSON_BYTES >> 20)]
    Bomb,
    #[error("it is no valid UTF-8")]
    Utf8,
    #[error("it is no valid JSON at line {line}, column {column}")]
    Json { line: usize, column: usize },
    #[error("`{0}` is missing or is not what Helm writes")]
    Field(&'static str),
    #[error("it is the record of another revision")]
    OtherRevision,
    #[error("{0}")]
    Manifest(String),
}

impl From<serde_json::Error> for Unreadable {
    /// Only the place: the error's own words can quote the text.
    fn from(error: serde_json::Error) -> Self {
        Self::Json { line: error.line(), column: error.column() }
    }
}

/// The JSON in a Secret's data.
pub(super) fn unpack(data: &[u8]) -> Result<String, Unreadable> {
    let packed = BASE64.decode(data.trim_ascii()).map_err(|_| Unreadable::Base64)?;
    if !packed.starts_with(&GZIP_MAGIC) {
        return String::from_utf8(packed).map_err(|_| Unreadable::Utf8);
    }
    let mut json = Vec::new();
    let unpacked = GzDecoder::new(packed.as_slice()).take(MAX_JSON_BYTES + 1).read_to_end(&mut json);
    if json.len() as u64 > MAX_JSON_BYTES {
        return Err(Unreadable::Bomb);
    }
    unpacked.map_err(|_| Unreadable::Gzip)?;
    String::from_utf8(json).map_err(|_| Unreadable::Utf8)
}

/// What to put into a Secret's data.
pub(super) fn pack(json: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // A Vec takes everything that is written to it.
    let packed = encoder.write_all(json).and_then(|()| encoder.finish()).unwrap_or_default();
    BASE64.encode(packed).into_bytes()
}
