//! Requests that nobody means well with, each sent at once.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{get, post};
use crate::harness::TOKEN;

/// What is sent, and what may be answered to it.
pub(super) struct Refused {
    pub(super) what: &'static str,
    pub(super) bytes: Vec<u8>,
    /// The statuses of all answers, one list for each way that is right.
    pub(super) answers: &'static [&'static [u16]],
}

/// All of them.
pub(super) fn refused() -> Vec<Refused> {
    let refused = |(what, bytes, answers)| Refused { what, bytes, answers };
    framing().into_iter().chain(heads()).chain(bodies()).map(refused).collect()
}

type Case = (&'static str, Vec<u8>, &'static [&'static [u16]]);

const JSON: &str = "Content-Type: application/json\r\n";

/// A POST that is the last on its connection.
fn last(head: &str, body: &str) -> Vec<u8> {
    post(&format!("{JSON}Connection: close\r\n{head}"), body)
}

fn without_returns(request: &[u8]) -> Vec<u8> {
    request.iter().copied().filter(|byte| *byte != b'\r').collect()
}

/// Where a body ends: one refusal, and nothing of what may be hidden behind it is carried out.
fn framing() -> Vec<Case> {
    let hidden = format!("DELETE /api/v1/deployments/dbt-server-probe-main HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    let smuggled = |head: &str| post(&format!("{JSON}{head}"), &format!("0\r\n\r\n{hidden}"));
    let chunked = |body: &str| last("Transfer-Encoding: chunked\r\n", body);
    let old_chunked = |hidden: &str| {
        let head = format!(
            "POST /api/v1/deployments HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n"
        );
        format!("{head}0\r\n\r\n{hidden}").into_bytes()
    };
    vec![
        ("both lengths", smuggled("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), &[&[400]]),
        ("both lengths, the other way round", smuggled("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), &[&[400]]),
        ("two different lengths", smuggled("Content-Length: 5\r\nContent-Length: 400\r\n"), &[&[400]]),
        ("an encoding that nobody knows", smuggled("Transfer-Encoding: xchunked\r\n"), &[&[400]]),
        ("an encoding on a folded line", smuggled("Transfer-Encoding:\r\n chunked\r\n"), &[&[400]]),
        ("an encoding with a space before its colon", smuggled("Transfer-Encoding : chunked\r\n"), &[&[400]]),
        ("an encoding twice", smuggled("Content-Length: 5\r\nTransfer-Encoding: chunked, chunked\r\n"), &[&[400]]),
        // Which may be read (RFC 9112, 2.2); a chunk that ends so may not.
        ("lines that end without a return", without_returns(&smuggled("Transfer-Encoding: chunked\r\n")), &[&[400]]),
        ("an encoding that the protocol's version has not", old_chunked(&hidden), &[&[400]]),
        ("a length with a sign", smuggled("Content-Length: +5\r\n"), &[&[400]]),
        ("a length that is too long for any number", smuggled(&format!("Content-Length: 1{}\r\n", "0".repeat(40))), &[&[400]]),
        ("a chunk without a length", chunked("zz\r\nabc\r\n0\r\n\r\n"), &[&[400]]),
        ("a chunk longer than memory", chunked("ffffffffffffffffff\r\nabc"), &[&[400]]),
        ("a chunk that does not end where it says", chunked("2\r\nabcdef\r\n0\r\n\r\n"), &[&[400]]),
        // Chunk extensions mean nothing; the body is read, and lacks a field.
        ("a chunk with an extension", chunked("2;a=\"b;c\"\r\n{}\r\n0;d\r\n\r\n"), &[&[422]]),
    ]
}

fn heads() -> Vec<Case> {
    // Who sends more than is read may be cut off before he sees the answer.
    let too_much: &[&[u16]] = &[&[431], &[]];
    vec![
        ("one mebibyte of heads", post(&format!("X-Filler: {}\r\n", "a".repeat(1 << 20)), ""), too_much),
        // With the two of every POST.
        ("ninety-seven heads", post(&"X-Filler: a\r\n".repeat(95), ""), &[&[431]]),
        ("ninety-six heads", post(&("X-Filler: a\r\n".repeat(92) + "Connection: close\r\nContent-Length: 0\r\n"), ""), &[&[400]]),
        ("a path of one mebibyte", get(&"a".repeat(1 << 20), ""), too_much),
        ("a path that is no UTF-8", b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), &[&[400]]),
        ("a NUL in a head", get("", "X-Filler: a\0b\r\n"), &[&[400]]),
        ("a folded line", get("", "X-Folded: a\r\n b\r\n"), &[&[400]]),
        ("a folded first line", b"GET / HTTP/1.1\r\n X-Folded: a\r\nHost: x\r\n\r\n".to_vec(), &[&[400]]),
        ("another protocol", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(20), &[&[400]]),
    ]
}

fn bodies() -> Vec<Case> {
    let with_length = |more: &str, body: &[u8]| {
        let head = last(&format!("{more}Content-Length: {}\r\n", body.len()), "");
        [head.as_slice(), body].concat()
    };
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..64 {
        bomb.write_all(&[b' '; 1 << 20]).unwrap();
    }
    vec![
        ("a body that is no UTF-8", with_length("", b"{\"project_name\": \"\xff\xfe\xfa\"}"), &[&[400]]),
        ("a body that is deeper than any stack", with_length("", "[".repeat(100_000).as_bytes()), &[&[400]]),
        ("a body that unpacks to 64 mebibytes", with_length("Content-Encoding: gzip\r\n", &bomb.finish().unwrap()), &[&[415]]),
        ("a body that waits to be asked for", with_length("Expect: 100-continue\r\n", b"{}"), &[&[100, 422]]),
        (
            "a stranger's body that waits to be asked for",
            b"POST /api/v1/deployments HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}"
                .to_vec(),
            &[&[100, 401]],
        ),
    ]
}
