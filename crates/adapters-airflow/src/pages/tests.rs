use super::*;

/// Reads a list of ids that `change` changes before each page, as a server with pages of `most` shows it.
fn read_while(mut list: Vec<String>, most: usize, mut change: impl FnMut(usize, &mut Vec<String>)) -> Option<Vec<String>> {
    let mut reading = Reading::new();
    for page in 0..MOST_PAGES {
        change(page, &mut list);
        let entries: Vec<_> = list.iter().skip(reading.offset).take(most.min(PAGE)).map(|id| (id.clone(), ())).collect();
        if reading.take(Page { entries, total: list.len() }) {
            return Some(reading.seen.into_keys().collect());
        }
    }
    None
}

fn ids(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("id-{number:05}")).collect()
}

#[test]
fn a_list_that_holds_still_is_read_whole() {
    for length in [0, 1, 2, 99, 100, 101, 199, 200, 1_234] {
        for most in [10, 50, 100] {
            assert!(read_while(ids(0..length), most, |_, _| ()) == Some(ids(0..length)), "{length} by {most}");
        }
    }
}

#[test]
fn entries_that_stay_are_not_lost_when_others_go() {
    for gone in [1, 5, 99, 100, 150, 290] {
        let seen = read_while(ids(0..400), 100, |page, list| {
            if page == 3 {
                list.drain(..gone);
            }
        });
        let seen = seen.unwrap();
        assert!(ids(gone..400).iter().all(|id| seen.contains(id)), "{gone} gone");
    }
}

#[test]
fn entries_that_stay_are_not_lost_when_one_goes_before_each_page() {
    let seen = read_while(ids(0..1_000), 100, |page, list| {
        if page > 0 {
            list.remove(0);
        }
    });
    let seen = seen.unwrap();
    assert!(ids(100..1_000).iter().all(|id| seen.contains(id)));
}

#[test]
fn entries_that_stay_are_not_lost_when_others_come() {
    let seen = read_while(ids(1_000..1_500), 100, |page, list| list.insert(0, format!("id-{:05}", 999 - page)));
    assert!(ids(1_000..1_500).iter().all(|id| seen.as_ref().is_some_and(|seen| seen.contains(id))));
}

#[test]
fn an_order_that_is_not_that_of_bytes_does_no_harm() {
    let mut list = ids(0..350);
    list.reverse();
    let seen = read_while(list, 100, |page, list| {
        if page == 2 {
            list.drain(..60);
        }
    });
    assert!(ids(0..290).iter().all(|id| seen.as_ref().is_some_and(|seen| seen.contains(id))));
}

#[test]
fn a_list_of_which_nothing_is_left_ends() {
    let seen = read_while(ids(0..300), 100, |page, list| {
        if page == 2 {
            list.clear();
        }
    });
    assert!(seen.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_does_not_end_is_given_up_after_its_time() {
    let begin = Instant::now();
    let deadlines = &std::sync::Mutex::new(Vec::new());
    // Each page is slow, but within its own time.
    let fetch = |slice: Slice, leave: Leave<'static>| async move {
        deadlines.lock().unwrap().push(leave.deadline() - begin);
        tokio::time::sleep_until(leave.deadline().min(Instant::now() + Duration::from_secs(8))).await;
        let entries = (slice.offset..slice.offset + PAGE).map(|number| (format!("id-{number:05}"), ())).collect();
        Ok(Page { entries, total: usize::MAX })
    };
    let Err(Fault::NoAnswer { why, .. }) = read(fetch).await else { panic!("it was read") };
    assert!(why.contains("60 s"), "{why}");
    assert_eq!(begin.elapsed(), LIST_LIMIT);
    let deadlines = deadlines.lock().unwrap();
    assert_eq!((deadlines[0], deadlines[deadlines.len() - 1]), (Duration::from_secs(10), LIST_LIMIT));
}
