//! One reading for all who ask at the same time.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::fault::Fault;

/// Reads a long list once for all who ask for it at the same time: many who come at once would take each other's turns.
pub(crate) struct Sharing<T> {
    last: Mutex<Option<Reading<T>>>,
}

struct Reading<T> {
    begun: Instant,
    answer: Result<Arc<T>, Fault>,
}

impl<T> Sharing<T> {
    pub(crate) fn new() -> Self {
        Self { last: Mutex::new(None) }
    }

    /// What a reading gives that begins after this is called: who comes in the middle of one waits for the next, with all others who do.
    pub(crate) async fn read(&self, read: impl AsyncFnOnce() -> Result<T, Fault>) -> Result<Arc<T>, Fault> {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if let Some(Reading { begun, answer }) = &*last
            && *begun > asked
        {
            return answer.clone();
        }
        let begun = Instant::now();
        let answer = read().await.map(Arc::new);
        *last = Some(Reading { begun, answer: answer.clone() });
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_comes_in_the_middle_of_a_reading_shares_the_next() {
        let (sharing, readings) = (Sharing::new(), AtomicU32::new(0));
        let read = async |after: u64| {
            sleep(Duration::from_millis(after)).await;
            let reading = sharing.read(async || {
                sleep(Duration::from_millis(100)).await;
                match readings.fetch_add(1, Ordering::SeqCst) {
                    2 => Err(Fault::Absent),
                    reading => Ok(reading),
                }
            });
            reading.await.ok().map(|reading| *reading)
        };
        // The third reading fails, for all who wait for it.
        let told = tokio::join!(read(0), read(10), read(20), read(90), read(110), read(150));
        assert_eq!(told, (Some(0), Some(1), Some(1), Some(1), None, None));
        assert_eq!(readings.load(Ordering::SeqCst), 3);
    }
}
