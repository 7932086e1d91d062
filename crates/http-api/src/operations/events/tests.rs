use actix_web::body::to_bytes;
use actix_web::test::TestRequest;
use dbt_controller_domain::model::{
    Caller, Failure, FailureCode, OperationEvent, OperationInfo, OperationKind, OperationState, Phase, ReleaseKey, RequestHash,
};
use jiff::Timestamp;

use super::*;

/// An operation whose events have these numbers.
fn view(numbers: &[u64], ended: bool) -> Arc<OperationView> {
    let event = |sequence: &u64| OperationEvent {
        sequence: *sequence,
        at: Timestamp::UNIX_EPOCH,
        phase: Phase::Ready,
        begins_phase: sequence % 2 == 1,
        message: "it goes on".to_owned(),
    };
    Arc::new(OperationView {
        info: OperationInfo {
            id: "an-operation".parse().unwrap(),
            kind: OperationKind::Deploy,
            key: ReleaseKey { namespace: "dbt-server".parse().unwrap(), name: "dbt-server-a".parse().unwrap() },
            identity: None,
            task_hash: RequestHash::from_recorded(""),
            caller: Caller { request_id: String::new(), actor: String::new() },
            submitted_at: Timestamp::UNIX_EPOCH,
        },
        state: if ended { OperationState::Failed } else { OperationState::Running },
        phase: Phase::Ready,
        started_at: None,
        finished_at: None,
        outcome: ended.then(|| Err(Failure::new(FailureCode::Internal, "why"))),
        debts: Vec::new(),
        events: numbers.iter().map(event).collect(),
    })
}

/// Number and name of each event that a client gets who has seen `seen`, while the views come one after the other.
async fn told(seen: u64, views: &[Arc<OperationView>]) -> Vec<String> {
    let (sender, receiver) = watch::channel(Arc::clone(&views[0]));
    let story = Story { views: receiver, seen, ready: Vec::new(), ended: false, stop: CancellationToken::new() };
    let events = Box::pin(story.stream());
    let response = Followed(Either::Left(events)).respond_to(&TestRequest::default().to_http_request());
    let views = views.to_vec();
    let send = async move {
        for view in &views[1..] {
            tokio::time::sleep(Duration::from_millis(1)).await;
            sender.send_replace(Arc::clone(view));
        }
        // Dropping the sender at once would end the story before its last view is looked at, as it may in truth.
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    let (body, ()) = tokio::join!(to_bytes(response.into_body()), send);
    let text = String::from_utf8(body.unwrap().to_vec()).unwrap();
    let field = |block: &str, name: &str| block.lines().find_map(|line| Some(line.strip_prefix(name)?.to_owned()));
    text.split("\n\n").filter_map(|block| Some(format!("{} {}", field(block, "id: ")?, field(block, "event: ")?))).collect()
}

#[tokio::test(start_paused = true)]
async fn each_event_is_told_once_whichever_views_are_seen() {
    let views = [view(&[1], false), view(&[1, 2], false), view(&[1, 2, 3, 4], false), view(&[1, 2, 3, 4], true)];
    let expected = ["1 phase", "2 progress", "3 phase", "4 progress", "5 outcome"];
    assert_eq!(told(0, &views).await, expected);
    assert_eq!(told(0, &views[3..]).await, expected);
    assert_eq!(told(2, &views).await, expected[2..]);
}

#[tokio::test(start_paused = true)]
async fn events_that_are_gone_leave_a_gap() {
    assert_eq!(told(2, &[view(&[6, 7], true)]).await, ["5 gap", "6 progress", "7 phase", "8 outcome"]);
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_cannot_be_followed_any_more_ends_its_stream_without_an_outcome() {
    assert_eq!(told(0, &[view(&[1], false)]).await, ["1 phase"]);
}

#[test]
fn the_outcome_has_the_number_after_the_last_event() {
    assert_eq!(outcome_number(&view(&[], true)), Some(1));
    assert_eq!(outcome_number(&view(&[4, 5], true)), Some(6));
    assert_eq!(outcome_number(&view(&[4, 5], false)), None);
}
