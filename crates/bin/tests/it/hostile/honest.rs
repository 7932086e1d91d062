//! Callers who take long for a good reason. No limit may meet them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::slow::FILE;
use super::{LONGEST, get, one_answer, post, rest, statuses};
use crate::harness::{Server, TOKEN};

/// Longer than every limit but that of an idle connection.
const DEPLOY: &str = "35s";

/// Waits for an answer longer than the service would for anything of its caller, and goes on with the connection.
fn waits_for_a_deploy(address: &str) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&get("health/liveness", "")).unwrap();
    assert_eq!(statuses(&one_answer(&mut stream)), [200]);
    let body = r#"{"project_name": "patient"}"#;
    stream.write_all(&post(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()), body)).unwrap();
    let answer = one_answer(&mut stream);
    assert_eq!(statuses(&answer), [200], "{answer}");
    stream.write_all(&get("health/liveness", "Connection: close\r\n")).unwrap();
    assert_eq!(statuses(&rest(&mut stream)), [200]);
}

/// Follows the events of a deployment from its begin to its end.
fn follows_events(address: &str) {
    let mut stream = TcpStream::connect(address).unwrap();
    let body = r#"{"project_name": "followed"}"#;
    let head = format!("Content-Type: application/json\r\nPrefer: respond-async\r\nContent-Length: {}\r\n", body.len());
    stream.write_all(&post(&head, body)).unwrap();
    let answer = one_answer(&mut stream);
    let location = answer.lines().find_map(|line| line.strip_prefix("location: /")).unwrap();
    stream.write_all(&get(&format!("{location}/events"), &format!("Authorization: Bearer {TOKEN}\r\nConnection: close\r\n"))).unwrap();
    let events = rest(&mut stream);
    assert!(events.contains("event: outcome"), "{events}");
}

/// Reads without haste.
fn reads_slowly(address: &str) {
    let mut stream = TcpStream::connect(address).unwrap();
    let (one, last) = (get(FILE, ""), get(FILE, "Connection: close\r\n"));
    stream.write_all(&[one.repeat(7), last].concat()).unwrap();
    let mut answers = Vec::new();
    let begin = Instant::now();
    while (&mut stream).take(320 << 10).read_to_end(&mut answers).unwrap() > 0 {
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!(begin.elapsed() > Duration::from_secs(35), "it took only {:?}", begin.elapsed());
    assert_eq!(statuses(&String::from_utf8_lossy(&answers)), [200; 8]);
    let length = answers.len();
    assert!(length > 8 * 1_000_000, "{length} bytes");
}

/// A connection in a pool: it is used again after a minute, also when a body in chunks was sent on it.
fn comes_back_after_a_minute(address: &str) {
    let mut stream = TcpStream::connect(address).unwrap();
    let broken = post("Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n", "1\r\n{\r\n0\r\n\r\n");
    stream.write_all(&broken).unwrap();
    assert_eq!(statuses(&one_answer(&mut stream)), [400]);
    std::thread::sleep(Duration::from_secs(61));
    stream.write_all(&get("health/liveness", "Connection: close\r\n")).unwrap();
    assert_eq!(statuses(&rest(&mut stream)), [200]);
}

/// A connection that nobody needs any more is closed in the end.
fn never_comes_back(address: &str) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&get("health/liveness", "")).unwrap();
    assert_eq!(statuses(&one_answer(&mut stream)), [200]);
    let begin = Instant::now();
    stream.set_read_timeout(Some(2 * LONGEST)).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    assert!((74..80).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
}

#[test]
fn the_honest_may_take_their_time() {
    let server = Server::with(&[("EMBEDDED_READY_AFTER", DEPLOY)]);
    std::thread::scope(|scope| {
        for honest in [waits_for_a_deploy, follows_events, reads_slowly, comes_back_after_a_minute, never_comes_back] {
            let address = server.address();
            scope.spawn(move || honest(address));
        }
    });
}

#[test]
fn who_hangs_up_while_he_waits_takes_no_connection_from_others() {
    let server = Server::with(&[("MAX_CONNECTIONS", "2"), ("EMBEDDED_READY_AFTER", DEPLOY)]);
    for project in ["first", "second"] {
        let body = format!(r#"{{"project_name": "{project}"}}"#);
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(&post(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()), &body)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        assert!(stream.read(&mut [0; 1]).is_err(), "it is answered before its server is ready");
    }
    let mut other = TcpStream::connect(server.address()).unwrap();
    other.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let list = get("api/v1/operations", &format!("Authorization: Bearer {TOKEN}\r\n"));
    other.write_all(&list).unwrap();
    let answer = one_answer(&mut other);
    assert_eq!(answer.matches(r#""state":"running""#).count(), 2, "{answer}");
}

#[test]
fn at_the_limit_of_connections_others_wait_until_one_is_closed() {
    let server = Server::with(&[("MAX_CONNECTIONS", "2")]);
    let mut streams: Vec<_> = (0..3).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    for stream in &mut streams {
        stream.write_all(&get("health/liveness", "")).unwrap();
    }
    let mut third = streams.pop().unwrap();
    for stream in &mut streams {
        assert_eq!(statuses(&one_answer(stream)), [200]);
    }
    third.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    assert!(third.read(&mut [0; 1]).is_err(), "a third connection is served");
    drop(streams.pop());
    assert_eq!(statuses(&one_answer(&mut third)), [200]);
}
