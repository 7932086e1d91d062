//! Callers who hold what they have got: a connection, memory, or an answer.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{LONGEST, get, one_answer, post, rest, statuses};

/// The largest file that anyone may read.
pub(super) const FILE: &str = "docs/swagger-ui-bundle.js";

/// Between two bytes of a caller who takes his time.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) fn connect(address: &str, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| TcpStream::connect(address).unwrap()).collect()
}

/// A connection on which this was sent and answered.
fn after(address: &str, sent: &[u8], status: u16) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(sent).unwrap();
    assert_eq!(statuses(&one_answer(&mut stream)), [status]);
    stream
}

/// Sends the bytes one by one on all streams until the service has closed all of them, and tells how long that took.
fn until_closed(mut streams: Vec<TcpStream>, bytes: impl IntoIterator<Item = u8>) -> Duration {
    let begin = Instant::now();
    let mut bytes = bytes.into_iter();
    while !streams.is_empty() {
        assert!(begin.elapsed() < LONGEST, "{} connections are still open", streams.len());
        std::thread::sleep(PAUSE);
        let byte = bytes.next();
        streams.retain_mut(|stream| {
            let _ = stream.write_all(byte.as_slice());
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
    begin.elapsed()
}

/// Two hundred connections that send a byte of their head now and then. All are closed, whatever they still send.
pub(super) fn heads(address: &str) {
    let head = b"GET /api/v1/deployments HTTP/1.1\r\nX-Slow: ".iter().copied().chain(std::iter::repeat(b'a'));
    let lasted = until_closed(connect(address, 200), head);
    assert!((9..20).contains(&lasted.as_secs()), "{lasted:?}");
}

/// Two hundred connections on which a request was answered, and of the next one only a byte comes.
pub(super) fn second_heads(address: &str) {
    let streams = (0..200).map(|_| after(address, &get("health/liveness", ""), 200)).collect();
    let lasted = until_closed(streams, *b"G");
    assert!((9..20).contains(&lasted.as_secs()), "{lasted:?}");
}

/// Strangers who were refused and go on sending their body.
pub(super) fn refused_bodies(address: &str) {
    let body = b"POST /api/v1/deployments HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n";
    let streams = (0..20).map(|_| after(address, body, 401)).collect();
    let lasted = until_closed(streams, std::iter::repeat(b' '));
    assert!((9..20).contains(&lasted.as_secs()), "{lasted:?}");
}

/// Bodies of which a byte comes now and then, or nothing, though they were asked for.
pub(super) fn bodies(address: &str) {
    let slow = post("Content-Type: application/json\r\nContent-Length: 100000\r\n", "{");
    let chunks = post("Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n", "1;");
    let silent = post("Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 2\r\n", "");
    let heads = [(slow, " ", vec![408]), (chunks, "a", vec![408]), (silent, "", vec![100, 408])];
    let mut streams = Vec::new();
    for (head, byte, answers) in heads {
        for mut stream in connect(address, 20) {
            stream.write_all(&head).unwrap();
            streams.push((stream, byte, answers.clone()));
        }
    }
    let begin = Instant::now();
    let mut sending: Vec<_> = streams.iter_mut().collect();
    while !sending.is_empty() {
        assert!(begin.elapsed() < LONGEST, "{} bodies are still waited for", sending.len());
        std::thread::sleep(PAUSE);
        sending.retain_mut(|(stream, byte, _)| {
            let is_refused = is_refused(stream);
            // Once more when it is refused: a rest of which nothing comes is no rest.
            let _ = stream.write_all(byte.as_bytes());
            !is_refused
        });
    }
    for (mut stream, _, expected) in streams {
        let answers = rest(&mut stream);
        assert_eq!(statuses(&answers), expected, "{answers}");
    }
}

/// Whether a 408 lies ready to be read.
fn is_refused(stream: &TcpStream) -> bool {
    let mut answers = [0; 512];
    stream.set_nonblocking(true).unwrap();
    let length = match stream.peek(&mut answers) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        length => length.unwrap(),
    };
    stream.set_nonblocking(false).unwrap();
    String::from_utf8_lossy(&answers[..length]).contains("HTTP/1.1 408")
}

/// Three hundred bodies of one mebibyte, each but for its last byte: more than all of them may hold together.
pub(super) fn large_bodies(address: &str) {
    const LENGTH: usize = 1 << 20;
    let mut sent = post(&format!("Content-Type: application/json\r\nContent-Length: {LENGTH}\r\n"), "");
    sent.resize(sent.len() + LENGTH - 1, b' ');
    let streams: Vec<_> = connect(address, 300)
        .into_iter()
        .map(|mut stream| {
            let sent = sent.clone();
            std::thread::spawn(move || {
                // Who is refused in the middle may be cut off.
                let _ = stream.write_all(&sent);
                rest(&mut stream)
            })
        })
        .collect();
    let answers: Vec<_> = streams.into_iter().map(|stream| stream.join().unwrap()).collect();
    let of = |status: u16| answers.iter().filter(|answer| statuses(answer) == [status]).collect::<Vec<_>>();
    let (late, refused) = (of(408), of(503));
    assert_eq!(late.len() + refused.len(), 300, "{answers:#?}");
    assert!((20..=33).contains(&late.len()), "{} were held", late.len());
    for answer in refused {
        assert!(answer.contains("\"overloaded\"") && answer.to_lowercase().contains("retry-after: 1\r\n"), "{answer}");
    }
}

/// A hundred callers who ask for a large file again and again, and read none of it.
pub(super) fn unread_answers(address: &str) {
    let mut streams = connect(address, 100);
    for stream in &mut streams {
        stream.write_all(&get(FILE, "").repeat(16)).unwrap();
    }
    std::thread::sleep(Duration::from_secs(40));
    for mut stream in streams {
        // What the system had taken comes, and then the end, in the middle of an answer.
        let answers = rest(&mut stream);
        assert!((1..16).contains(&answers.matches("HTTP/1.1 200 OK").count()), "all was kept");
    }
}

/// Callers who send thousands of requests ahead, and read nothing. What they have sent stays in the system's buffers.
pub(super) fn sent_ahead(address: &str) {
    let sent = [get(FILE, "").repeat(8), b"GET / HTTP/1.0\r\n\r\n".repeat(6000)].concat();
    let streams: Vec<_> = connect(address, 100)
        .into_iter()
        .map(|mut stream| {
            // As much as the system takes.
            stream.set_nonblocking(true).unwrap();
            assert!(stream.write(&sent).unwrap() > 30_000, "hardly anything was taken");
            stream.set_nonblocking(false).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_secs(40));
    for mut stream in streams {
        let answers = rest(&mut stream);
        assert!((1..8).contains(&answers.matches("HTTP/1.1 200 OK").count()), "all was kept");
    }
}
