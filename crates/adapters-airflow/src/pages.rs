//! Reading a list that is longer than a page, while others change it.
//!
//! Airflow pages by offset: when an entry before the offset goes, all later ones move up, and the one that was to come next is skipped.
//! So pages overlap. The entries come in the database's order of ids; whatever that is, a page that holds an entry that was seen before
//! begins at or before the last one seen, and then nothing that stays is missed between them. A page that holds none comes too late in
//! the list, and an earlier one is read.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::ask::{Ask, Slice};
use crate::fault::Fault;
use crate::leave::Leave;
use crate::reply::Reply;
use crate::session::Session;

/// The most that Airflow puts on a page.
const PAGE: usize = 100;
/// How many pages are read at most: far more than an Airflow has, so a list that needs them does not hold still.
const MOST_PAGES: usize = 1_000;
/// How long the reading of a list may take, all of its pages: whoever waits for it has more to do.
const LIST_LIMIT: Duration = Duration::from_secs(60);

/// A page as it was answered.
pub(crate) struct Page<T> {
    /// Id and content of each entry.
    pub(crate) entries: Vec<(String, T)>,
    /// How many entries there were in all.
    pub(crate) total: usize,
}

/// Reads a list whole: every entry that was there all the time, by id.
pub(crate) async fn read_all<T>(
    session: &Session,
    ask: impl Fn(Slice) -> Ask<'static>,
    page: impl Fn(&Reply) -> Result<Page<T>, Fault>,
) -> Result<BTreeMap<String, T>, Fault> {
    let (ask, page) = (&ask, &page);
    read(|slice, leave| async move { page(&session.insist(&ask(slice), &leave).await?) }).await
}

/// The same from anywhere.
async fn read<T, F>(fetch: impl Fn(Slice, Leave<'static>) -> F) -> Result<BTreeMap<String, T>, Fault>
where
    F: Future<Output = Result<Page<T>, Fault>>,
{
    let end = Instant::now() + LIST_LIMIT;
    let mut reading = Reading::new();
    for _ in 0..MOST_PAGES {
        let slice = Slice { offset: reading.offset, limit: PAGE };
        if reading.take(fetch(slice, Leave::to_read_by(end)).await?) {
            return Ok(reading.seen);
        }
        if end <= Instant::now() {
            let why = format!("a list was not read to its end within {} s", LIST_LIMIT.as_secs());
            return Err(Fault::NoAnswer { why, arrived: false });
        }
    }
    Err(Fault::WrongPlace { why: format!("a list did not end within {MOST_PAGES} pages"), arrived: false })
}

/// How far the reading is.
struct Reading<T> {
    seen: BTreeMap<String, T>,
    offset: usize,
}

impl<T> Reading<T> {
    fn new() -> Self {
        Self { seen: BTreeMap::new(), offset: 0 }
    }

    /// Takes the page at the offset in, and says whether it was the last one.
    fn take(&mut self, page: Page<T>) -> bool {
        let Page { entries, total } = page;
        let joins = self.offset == 0 || entries.iter().any(|(id, _)| self.seen.contains_key(id));
        if !joins {
            self.offset = self.offset.saturating_sub(PAGE);
            return false;
        }
        let length = entries.len();
        self.seen.extend(entries);
        if length == 0 || self.offset + length >= total {
            return true;
        }
        // The last entry again, to see that the next page joins.
        self.offset += (length - 1).max(1);
        false
    }
}

#[cfg(test)]
mod tests;
