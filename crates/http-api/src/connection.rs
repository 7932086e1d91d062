//! A connection that ends by itself when its client leaves it hanging.
//!
//! actix times the first head of a connection and nothing else that matters here: not the heads after it, not the rest of a refused
//! body, not an answer that nobody reads. So its stream is wrapped: the wrapper sees what comes and goes, and the middleware `serving`
//! tells it while a request is being answered, for that may take as long as it takes.
//!
//! Nor does actix bound what it keeps of requests that are sent ahead: it counts them only before it takes all heads out of what it has read,
//! and a head of 18 bytes costs it some kilobytes. So it gets what came in pieces, and while a request is being answered next to nothing
//! beyond the request's own body. The rest waits in the system's buffer, and then the client does.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long the head of a request may take to arrive, from its first byte on; of one that was begun ahead of an answer, from its next byte on.
pub(crate) const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// How long an idle connection is kept; longer than the 60 s after which common load balancers close theirs, so that they do not send a
/// request into a connection that is just being closed.
const IDLE_LIMIT: Duration = Duration::from_secs(75);

/// How long a client may take none of an answer that waits for it.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// How many bytes are handed over at a time, before actix looks at them; and how many that are sent ahead of an answer. So a hundred
/// of the shortest heads at most are kept of a connection.
const PIECE: usize = 1024;

/// An accepted connection. Reads and writes fail when its client has overstayed, which ends it.
pub(crate) struct Connection {
    stream: TcpStream,
    turns: Turns,
    /// Until when the client must take something; none while nothing waits for it.
    write_deadline: Option<Instant>,
    /// A piece was handed over, and actix has not looked at it yet: it reads until there is nothing.
    has_read: bool,
    /// How much was handed over that was sent ahead.
    ahead: usize,
    timer: Pin<Box<Sleep>>,
}

/// Whose turn it is on a connection, shared with the service that answers its requests.
#[derive(Clone)]
pub(crate) struct Turns(Rc<Shared>);

struct Shared {
    turn: Cell<Turn>,
    /// Whoever has to read on when it is another's turn.
    reader: Cell<Option<Waker>>,
}

/// A request that is being answered. When it is dropped, the answer is complete, and it is the client's turn.
pub(crate) struct Serving(Turns);

/// The body of a request that is being read, until this is dropped.
pub(crate) struct ReadingBody(Turns);

#[derive(Clone, Copy)]
enum Turn {
    /// actix waits for the first head, which it times itself and answers with 408.
    First,
    /// The service answers.
    Service,
    /// The service reads the request's body, which it times itself.
    Body,
    /// The client may begin a request until then.
    Idle(Instant),
    /// The client has begun to send and must have sent a whole head by then.
    Head(Instant),
}

// === impl Connection ===

impl Connection {
    /// A connection that was just accepted.
    pub(crate) fn new(stream: TcpStream) -> Self {
        let turns = Turns(Rc::new(Shared { turn: Cell::new(Turn::First), reader: Cell::default() }));
        // Any time will do: it is set anew before it is looked at.
        Self { stream, turns, write_deadline: None, has_read: false, ahead: 0, timer: Box::pin(sleep(Duration::ZERO)) }
    }

    /// Whose turn it is, for the service.
    pub(crate) fn turns(&self) -> Turns {
        self.turns.clone()
    }

    /// Fails if the client has overstayed; else the task is woken when it will have. Called by reads, writes and flushes, one of which
    /// ends each turn of actix's dispatcher.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let Some(deadline) = self.write_deadline.or(self.turns.deadline()) else { return Ok(()) };
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        match self.timer.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// Whether what comes now is sent ahead: an answer is under way, or complete here and not yet taken.
    fn is_answering(&self) -> bool {
        match self.turns.0.turn.get() {
            Turn::Service => true,
            Turn::Body => false,
            Turn::First | Turn::Idle(_) | Turn::Head(_) => self.write_deadline.is_some(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        if std::mem::take(&mut self.has_read) {
            // At actix's next turn.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let is_ahead = self.is_answering();
        if is_ahead {
            // Also where there is room: actix leaves what came ahead as it is while many requests wait, and has to look again after them.
            self.turns.0.reader.set(Some(context.waker().clone()));
        } else {
            self.ahead = 0;
        }
        let room = (PIECE - self.ahead).min(buffer.remaining());
        if room == 0 {
            return Poll::Pending;
        }
        let mut bytes = [0; PIECE];
        let mut piece = ReadBuf::new(&mut bytes[..room]);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut piece))?;
        let piece = piece.filled();
        if !piece.is_empty() {
            buffer.put_slice(piece);
            self.has_read = true;
            if is_ahead {
                self.ahead += piece.len();
            } else {
                self.turns.heard();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Ready(written) => {
                if self.write_deadline.take().is_some() {
                    self.turns.wake_reader();
                }
                self.turns.told();
                Poll::Ready(written)
            }
            Poll::Pending => {
                self.write_deadline.get_or_insert_with(|| Instant::now() + WRITE_LIMIT);
                self.check(context)?;
                Poll::Pending
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

// === impl Turns ===

impl Turns {
    /// A request is being answered, until what is returned is dropped.
    pub(crate) fn serve(&self) -> Serving {
        self.0.turn.set(Turn::Service);
        Serving(self.clone())
    }

    /// The body of the request that is being answered is read, until what is returned is dropped.
    pub(crate) fn read_body(&self) -> ReadingBody {
        self.0.turn.set(Turn::Body);
        self.wake_reader();
        ReadingBody(self.clone())
    }

    fn wake_reader(&self) {
        if let Some(reader) = self.0.reader.take() {
            reader.wake();
        }
    }

    /// The client sent something. Between two requests that is a head, or the rest of a body that nobody wants any more.
    fn heard(&self) {
        if let Turn::Idle(_) = self.0.turn.get() {
            self.0.turn.set(Turn::Head(Instant::now() + HEAD_LIMIT));
        }
    }

    /// The client took something. Its time begins when it has all of the answer, which may be long after that was complete here.
    fn told(&self) {
        if let Turn::Idle(_) = self.0.turn.get() {
            self.0.turn.set(Turn::Idle(Instant::now() + IDLE_LIMIT));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.0.turn.get() {
            Turn::First | Turn::Service | Turn::Body => None,
            Turn::Idle(deadline) | Turn::Head(deadline) => Some(deadline),
        }
    }
}

// === impl Serving, ReadingBody ===

impl Drop for Serving {
    fn drop(&mut self) {
        let Turns(shared) = &self.0;
        shared.turn.set(Turn::Idle(Instant::now() + IDLE_LIMIT));
        self.0.wake_reader();
    }
}

impl Drop for ReadingBody {
    fn drop(&mut self) {
        let Turns(shared) = &self.0;
        if let Turn::Body = shared.turn.get() {
            shared.turn.set(Turn::Service);
        }
    }
}
