//! A small HTTP server that answers as it is told, or does not.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Method and path.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path())
    }
}

/// What is done about a request.
#[derive(Debug, Clone)]
pub(crate) enum Play {
    /// An answer: status, further headers, content type, body.
    Answer(u16, Vec<(&'static str, String)>, &'static str, String),
    /// These bytes, and the end of the connection.
    Raw(Vec<u8>),
    /// Nothing, for ever.
    Hang,
    /// The end of the connection.
    Close,
}

impl Play {
    pub(crate) fn json(status: u16, body: impl ToString) -> Self {
        Self::Answer(status, Vec::new(), "application/json", body.to_string())
    }

    pub(crate) fn html(status: u16) -> Self {
        Self::Answer(status, Vec::new(), "text/html; charset=utf-8", "<!doctype html><html>hello</html>".to_owned())
    }

    pub(crate) fn header(self, name: &'static str, value: impl ToString) -> Self {
        match self {
            Self::Answer(status, mut headers, kind, body) => {
                headers.push((name, value.to_string()));
                Self::Answer(status, headers, kind, body)
            }
            other => other,
        }
    }
}

type Handler = dyn Fn(&Seen) -> Play + Send + Sync;

/// A server. It ends when it is dropped.
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: AbortHandle,
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stub {
    pub(crate) async fn start(handler: impl Fn(&Seen) -> Play + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, handler): (Arc<Mutex<Vec<Seen>>>, Arc<Handler>) = (Arc::default(), Arc::new(handler));
        let task = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&seen), Arc::clone(&handler)));
                }
            }
        });
        Self { address, seen, task: task.abort_handle() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Methods and paths of what came since the last call of this.
    pub(crate) fn drain(&self) -> Vec<String> {
        self.seen.lock().unwrap().drain(..).map(|seen| seen.line()).collect()
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<Seen>>>, handler: Arc<Handler>) {
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer).await {
        seen.lock().unwrap().push(request.clone());
        let done = match handler(&request) {
            Play::Answer(status, headers, kind, body) => {
                let mut head = format!("HTTP/1.1 {status} Status\r\ncontent-type: {kind}\r\n");
                headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
                if status != 204 {
                    head.push_str(&format!("content-length: {}\r\n", body.len()));
                }
                stream.write_all(format!("{head}\r\n{body}").as_bytes()).await
            }
            Play::Raw(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Play::Hang => std::future::pending().await,
            Play::Close => return,
        };
        if done.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer[..head_end].to_vec()).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: HashMap<_, _> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let end = head_end + 4 + length;
    while buffer.len() < end {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(buffer[head_end + 4..end].to_vec()).unwrap();
    buffer.drain(..end);
    Some(Seen { method, target, headers, body })
}
