//! What a caller may be answered when nothing else is going on and nothing is out of order: then there is one right answer.

use dbt_controller_domain::model::{Failure, FailureCode, Success, UndoOutcome};

use super::reference::{Reference, first_form};
use super::sight::{Seen, Sight};
use super::step::{Form, Request, Size, Tag, Who};

/// What is wrong with an answer, if anything.
pub(super) fn judge(reference: &Reference, request: &Request, outcome: &Result<Success, Failure>) -> Option<String> {
    let wrong = match request {
        Request::Deploy(who, tag, size, _, _) => {
            let wanted = deploy(reference, request, *who, *tag, *size)?;
            wanted.differs_from(outcome)
        }
        Request::Delete(who, form) => delete(reference, *who, *form, outcome),
        Request::Suspend(who) => scaled(reference, *who, outcome, &Success::Suspended),
        Request::Resume(who) => scaled(reference, *who, outcome, &Success::Resumed),
    };
    wrong.map(|wrong| format!("{request:?} was answered {outcome:?}: {wrong}"))
}

/// The one right answer to a deploy.
enum Wanted {
    Deployed { revision: u32, unchanged: bool },
    Refused(FailureCode),
    Undone(FailureCode),
}

fn deploy(reference: &Reference, request: &Request, who: Who, tag: Tag, size: Size) -> Option<Wanted> {
    if !reference.is_clean(who) {
        return None;
    }
    let sight = &reference.before;
    let wished = request.deploy()?;
    let deployed = sight.deployment_of(&who.identity()).and_then(|key| sight.present(key).map(|seen| (key, seen)));
    let Some((key, seen)) = deployed else {
        if first_form(sight, who, wished.namespace.as_str()).is_none() {
            return Some(Wanted::Refused(FailureCode::NameTaken));
        }
        if !has_free_connection(reference, who) {
            return Some(Wanted::Refused(FailureCode::ConnectionTaken));
        }
        return Some(by_tag(tag).map_or(Wanted::Deployed { revision: 1, unchanged: false }, Wanted::Undone));
    };
    if key.namespace != wished.namespace {
        return Some(Wanted::Refused(FailureCode::DeployedElsewhere));
    }
    if size < held(seen) {
        return Some(Wanted::Refused(FailureCode::ClaimCannotShrink));
    }
    let newest = seen.summary.revision.0;
    let in_force = seen.summary.standing.deployed == Some(seen.summary.revision);
    if in_force && seen.is_as_wished(&wished) {
        return Some(Wanted::Deployed { revision: newest, unchanged: true });
    }
    Some(by_tag(tag).map_or(Wanted::Deployed { revision: newest + 1, unchanged: false }, Wanted::Undone))
}

/// The code with which a server of this tag does not come up.
fn by_tag(tag: Tag) -> Option<FailureCode> {
    match tag {
        Tag::Good(_) => None,
        Tag::Missing => Some(FailureCode::ImagePullFailed),
        Tag::Crash => Some(FailureCode::CrashLoop),
    }
}

/// The size of the claim as it is on record.
fn held(seen: &Seen) -> Size {
    let storage = seen.summary.deployment.as_ref().and_then(|facts| facts.storage.as_ref());
    if storage.is_some_and(|size| size.as_str() == "2Gi") { Size::Large } else { Size::Small }
}

fn has_free_connection(reference: &Reference, who: Who) -> bool {
    who.identity().connection_ids().iter().any(|id| !reference.before.connections.contains_key(id))
}

/// A name that names nothing is not found; where anything is, it can be removed.
fn delete(reference: &Reference, who: Who, form: Form, outcome: &Result<Success, Failure>) -> Option<String> {
    let sight = &reference.before;
    let name = who.release_name(form);
    let is_there = Sight::keys().into_iter().filter(|key| key.name == name).any(|key| {
        let server = Sight::server_of(&key);
        sight.present(&key).is_some()
            || sight.objects.contains_key(&key)
            || sight.claims.contains_key(&server)
            || sight.connections_of(&key).next().is_some()
    });
    match outcome {
        Ok(Success::Deleted { .. }) if is_there => None,
        Err(failure) if failure.code == FailureCode::NotFound && !is_there => None,
        _ if is_there => Some("it can be removed".to_owned()),
        _ => Some("there is nothing of that name".to_owned()),
    }
}

fn scaled(reference: &Reference, who: Who, outcome: &Result<Success, Failure>, wanted: &Success) -> Option<String> {
    let is_there = reference.before.deployment_of(&who.identity()).is_some();
    let names_another = reference.before.all_present().any(|(key, _)| key.name == who.release_name(Form(0)));
    match outcome {
        Ok(success) if success == wanted && (is_there || names_another) => None,
        Err(failure) if failure.code == FailureCode::NotFound && !is_there && !names_another => None,
        _ if !reference.is_clean(who) || (names_another && !is_there) => None,
        _ => Some(format!("it is {}there", if is_there { "" } else { "not " })),
    }
}

impl Wanted {
    fn differs_from(&self, outcome: &Result<Success, Failure>) -> Option<String> {
        match (self, outcome) {
            (Self::Deployed { revision, unchanged }, Ok(Success::Deployed { revision: got, unchanged: same, .. }))
                if got.0 == *revision && same == unchanged =>
            {
                None
            }
            (Self::Refused(code), Err(failure)) if failure.code == *code && failure.undo == UndoOutcome::NothingToUndo => None,
            (Self::Undone(code), Err(failure)) if failure.code == *code && failure.undo == UndoOutcome::Undone => None,
            (Self::Deployed { revision, unchanged }, _) => Some(format!("revision {revision} is right, unchanged: {unchanged}")),
            (Self::Refused(code), _) => Some(format!("{code} is right, and nothing is to be undone")),
            (Self::Undone(code), _) => Some(format!("{code} is right, and it is to be undone")),
        }
    }
}
