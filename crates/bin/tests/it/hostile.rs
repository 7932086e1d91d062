//! Callers who mean harm, on raw sockets, while somebody else goes on deploying.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;

use crate::harness::{Body, Server, TOKEN};

/// Longer than the service waits for a head (10 s) and for a body (30 s).
const LONGEST: Duration = Duration::from_secs(45);
/// More than the service needs for what its callers may send at a time, and far less than what these want it to keep.
const MEMORY: u64 = 256 << 20;

/// All that comes until the server closes, or is silent for longer than it may be.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(LONGEST)).unwrap();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&answer)),
    }
    answer
}

/// Sends bytes, as many as are taken, and reads what comes.
fn exchange(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    // Who is refused in the middle may be cut off.
    let _ = stream.write_all(bytes);
    String::from_utf8_lossy(&rest(&mut stream)).into_owned()
}

/// The statuses of all answers in a stream.
fn statuses(answers: &str) -> Vec<u16> {
    let codes = answers.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse());
    codes.collect::<Result<_, _>>().unwrap()
}

fn post(more: &str, body: &str) -> Vec<u8> {
    format!("POST /api/v1/deployments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n{more}\r\n{body}").into_bytes()
}

/// What is refused at once, each with what may be answered. An empty list: the connection is closed without a word.
fn refused() -> Vec<(&'static str, Vec<u8>, &'static [u16])> {
    let json = "Content-Type: application/json\r\n";
    let hidden = format!("DELETE /api/v1/deployments/dbt-server-probe-main HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    let smuggled = |head: &str| post(&format!("{json}{head}"), &format!("0\r\n\r\n{hidden}"));
    let closed = |head: &str, body: &str| post(&format!("{json}Connection: close\r\n{head}"), body);
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..64 {
        bomb.write_all(&[b' '; 1 << 20]).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    let mut bombed = post(&format!("{json}Connection: close\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n", bomb.len()), "");
    bombed.extend(bomb);
    let latin = b"{\"project_name\": \"\xff\xfe\xfa\"}";
    let latin = [&closed(&format!("Content-Length: {}\r\n", latin.len()), "")[..], latin].concat();
    let deep = "[".repeat(100_000);
    vec![
        ("both lengths", smuggled("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), &[400]),
        ("two different lengths", smuggled("Content-Length: 5\r\nContent-Length: 400\r\n"), &[400]),
        ("an encoding that nobody knows", smuggled("Transfer-Encoding: xchunked\r\n"), &[400, 501]),
        ("a length with a sign", smuggled("Content-Length: +5\r\n"), &[400]),
        ("a length that is too long for any number", smuggled(&format!("Content-Length: 1{}\r\n", "0".repeat(40))), &[400]),
        ("a chunk without a length", closed("Transfer-Encoding: chunked\r\n", "zz\r\nabc\r\n0\r\n\r\n"), &[400]),
        ("a chunk longer than memory", closed("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\nabc"), &[400, 413]),
        ("a chunk that does not end where it says", closed("Transfer-Encoding: chunked\r\n", "2\r\nabcdef\r\n0\r\n\r\n"), &[400]),
        ("one mebibyte of heads", post(&format!("X-Filler: {}\r\n", "a".repeat(1 << 20)), ""), &[400, 431]),
        ("ten thousand heads", post(&"X-Filler: a\r\n".repeat(10_000), ""), &[400, 431]),
        ("a path of one mebibyte", format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1 << 20)).into_bytes(), &[400, 414, 431]),
        ("a body that is no UTF-8", latin, &[400]),
        ("a path that is no UTF-8", b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), &[400]),
        ("a NUL in a head", b"GET / HTTP/1.1\r\nHost: x\r\nX-Filler: a\0b\r\n\r\n".to_vec(), &[400]),
        ("another protocol", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(20), &[400]),
        ("a body that is deeper than any stack", closed(&format!("Content-Length: {}\r\n", deep.len()), &deep), &[400]),
        ("a body that unpacks to 64 mebibytes", bombed, &[400, 413, 415]),
    ]
}

/// Two hundred connections that send a byte of their head now and then.
fn slow_heads(address: &str) {
    let mut streams: Vec<_> = (0..200).map(|_| TcpStream::connect(address).unwrap()).collect();
    let begin = Instant::now();
    let mut head = b"GET /api/v1/deployments HTTP/1.1\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'a'));
    // All are closed, whatever they still send.
    while !streams.is_empty() {
        assert!(begin.elapsed() < LONGEST, "{} connections are still open", streams.len());
        let byte = [*head.next().unwrap()];
        std::thread::sleep(Duration::from_millis(500));
        streams.retain_mut(|stream| {
            let _ = stream.write_all(&byte);
            stream.set_nonblocking(true).unwrap();
            let open = match stream.read(&mut [0; 512]) {
                Ok(0) => false,
                Ok(_) => true,
                Err(error) => error.kind() == ErrorKind::WouldBlock,
            };
            stream.set_nonblocking(false).unwrap();
            open
        });
    }
}

/// Twenty bodies of which a byte comes now and then.
fn slow_bodies(address: &str) {
    let mut streams: Vec<_> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    let head = post("Content-Type: application/json\r\nContent-Length: 100000\r\n", "{");
    streams.iter_mut().for_each(|stream| stream.write_all(&head).unwrap());
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(31) {
        std::thread::sleep(Duration::from_millis(500));
        for stream in &mut streams {
            let _ = stream.write_all(b" ");
        }
    }
    for mut stream in streams {
        let answer = String::from_utf8_lossy(&rest(&mut stream)).into_owned();
        assert_eq!(statuses(&answer), [408], "{answer}");
    }
}

/// A thousand requests at once on one connection, of which the last one closes it.
fn pipelined(address: &str) {
    let one = "GET /health/liveness HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET /health/liveness HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answers = exchange(address, (one.repeat(999) + last).as_bytes());
    assert_eq!(statuses(&answers), vec![200; 1000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_means_harm_keeps_others_from_deploying() {
    let server = Arc::new(Server::start());
    let done = Arc::new(AtomicBool::new(false));
    let probe = tokio::spawn({
        let (server, done) = (Arc::clone(&server), Arc::clone(&done));
        async move {
            let mut rounds = 0;
            while !done.load(Ordering::SeqCst) {
                let body = Body::of("probe", "main").with("tag", format!("v{rounds}"));
                let deployed = server.deploy(&body).await.expect(200).json();
                assert_eq!(deployed["details"]["revision"], 1, "somebody else changed it: {deployed:#}");
                drop(server.get("/api/v1/deployments/dbt-server-probe-main").await.expect(200));
                drop(server.delete("dbt-server-probe-main").await.expect(200));
                rounds += 1;
            }
            rounds
        }
    });
    let attack = |attack: fn(&str)| {
        let address = server.address().to_owned();
        tokio::task::spawn_blocking(move || attack(&address))
    };
    let slow = [attack(slow_heads), attack(slow_bodies)];
    attack(pipelined).await.unwrap();
    for (what, bytes, expected) in refused() {
        let address = server.address().to_owned();
        let answers = tokio::task::spawn_blocking(move || exchange(&address, &bytes)).await.unwrap();
        let statuses = statuses(&answers);
        // One refusal, and nothing of what may be hidden behind it is carried out.
        assert!(matches!(statuses.as_slice(), [] | [_]), "{what}: {answers}");
        assert!(statuses.iter().all(|status| expected.contains(status)), "{what}: {answers}");
    }
    for ended in slow {
        ended.await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    let rounds = probe.await.unwrap();
    assert!(rounds > 20, "only {rounds} rounds of the probe");
    assert_eq!(server.send(server.anonymous(Method::GET, "/health/liveness")).await.status, 200);
    assert!(server.peak_memory() < MEMORY, "{} bytes", server.peak_memory());
}
