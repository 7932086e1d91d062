//! Callers who mean harm, on raw sockets, while somebody else goes on deploying; and callers who mean none, whom no limit may meet.

mod honest;
mod refused;
mod slow;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;

use crate::harness::{Body, Server, TOKEN};
use refused::{Refused, refused};

/// Longer than the service waits for a head (10 s), for a body (30 s) and for somebody to read (30 s).
const LONGEST: Duration = Duration::from_secs(45);
/// More than the service needs for what its callers may send at a time, and far less than what these want it to keep.
const MEMORY: u64 = 256 << 20;
/// Settings of the C library. By itself it keeps free memory back, more of it the more cores there are.
const ALLOCATOR: [(&str, &str); 2] = [("MALLOC_ARENA_MAX", "1"), ("MALLOC_TRIM_THRESHOLD_", "65536")];

/// All that comes until the server closes. It may not be silent for longer than any limit is.
fn rest(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(LONGEST)).unwrap();
    let mut answers = Vec::new();
    match stream.read_to_end(&mut answers) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&answers)),
    }
    String::from_utf8_lossy(&answers).into_owned()
}

/// The head of an answer and its body, which must have a length.
fn one_answer(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(LONGEST)).unwrap();
    let mut answer = String::new();
    let mut missing = 1;
    while missing > 0 {
        let taken = stream.take(missing).read_to_string(&mut answer).unwrap();
        assert!(taken > 0, "closed after {answer}");
        if let Some((head, body)) = answer.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            missing = length.parse::<u64>().unwrap() - body.len() as u64;
        }
    }
    answer
}

/// Sends bytes, as many as are taken, and reads what comes.
fn exchange(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    // Who is refused in the middle may be cut off.
    let _ = stream.write_all(bytes);
    rest(&mut stream)
}

/// The statuses of all answers in a stream.
fn statuses(answers: &str) -> Vec<u16> {
    let codes = answers.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse());
    codes.collect::<Result<_, _>>().unwrap()
}

fn post(more: &str, body: &str) -> Vec<u8> {
    format!("POST /api/v1/deployments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n{more}\r\n{body}").into_bytes()
}

/// A GET of a public path.
fn get(path: &str, more: &str) -> Vec<u8> {
    format!("GET /{path} HTTP/1.1\r\nHost: x\r\n{more}\r\n").into_bytes()
}

/// A thousand requests at once on one connection, of which the last one closes it.
fn pipelined(address: &str) {
    let last = get("health/liveness", "Connection: close\r\n");
    let answers = exchange(address, &[get("health/liveness", "").repeat(999), last].concat());
    assert_eq!(statuses(&answers), [200; 1000]);
}

/// Twenty POSTs at once on one connection. Each has a body of its own, and each is answered in its turn.
fn pipelined_posts(address: &str) {
    let json = |more: &str, body: &str| post(&format!("Content-Type: application/json\r\n{more}Content-Length: {}\r\n", body.len()), body);
    let mut all = Vec::new();
    for _ in 0..10 {
        all.extend(json("", r#"{"project_name": "pipelined"}"#));
        all.extend(json("", r#"{"project_name": ""}"#));
    }
    all.extend(json("Connection: close\r\n", "{"));
    let answers = exchange(address, &all);
    assert_eq!(statuses(&answers), [[200, 422].repeat(10), vec![400]].concat(), "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_means_harm_keeps_others_from_deploying() {
    let server = Arc::new(Server::with(&ALLOCATOR));
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
    let slow =
        [slow::heads, slow::second_heads, slow::refused_bodies, slow::bodies, slow::large_bodies, slow::unread_answers, slow::sent_ahead]
            .map(attack);
    attack(pipelined).await.unwrap();
    attack(pipelined_posts).await.unwrap();
    for Refused { what, bytes, answers: expected } in refused() {
        let address = server.address().to_owned();
        let answers = tokio::task::spawn_blocking(move || exchange(&address, &bytes)).await.unwrap();
        assert!(expected.contains(&statuses(&answers).as_slice()), "{what}: {answers}");
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

/// More requests than are looked at before the first one is answered, which takes its time.
#[test]
fn what_is_sent_behind_a_slow_answer_is_answered_after_it() {
    let server = Server::with(&[("EMBEDDED_READY_AFTER", "1s")]);
    let body = r#"{"project_name": "slow"}"#;
    let first = post(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()), body);
    let (next, last) = (get("health/liveness", ""), get("health/liveness", "Connection: close\r\n"));
    let answers = exchange(server.address(), &[first, next.repeat(39), last].concat());
    assert_eq!(statuses(&answers), [200; 41], "{answers}");
}

/// Twice as many connections as there may be, of which none ever sends a whole head. Who deploys meanwhile only has to wait for his turn.
#[test]
fn who_takes_all_connections_keeps_nobody_from_deploying_for_long() {
    let server = Server::with(&[("MAX_CONNECTIONS", "32")]);
    let mut silent = slow::connect(server.address(), 64);
    for stream in &mut silent {
        stream.write_all(b"G").unwrap();
    }
    let body = r#"{"project_name": "probe"}"#;
    let head = format!("Content-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    let answer = exchange(server.address(), &post(&head, body));
    assert_eq!(statuses(&answer), [200], "{answer}");
}
