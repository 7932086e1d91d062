//! Any record. The larger strategies are boxed: by value they would not fit on the stack of a test.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_domain::model::*;
use dbt_controller_domain::{ConnectionId, GitBranch, Identity, ProjectName, ReleaseName};
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use secrecy::SecretString;

fn parsed<T>(pattern: &'static str) -> impl Strategy<Value = T>
where
    T: std::str::FromStr + std::fmt::Debug,
    T::Err: std::fmt::Debug,
{
    pattern.prop_map(|text: String| text.parse().unwrap())
}

fn one_of<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    prop::sample::select(all)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,20}", any::<String>()]
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(text(), 0..3)
}

fn secret() -> impl Strategy<Value = SecretString> {
    text().prop_map(SecretString::from)
}

fn time() -> impl Strategy<Value = Timestamp> {
    (-377_705_000_000_i64..253_402_000_000, 0..1_000_000_000_i32)
        .prop_map(|(second, nanosecond)| Timestamp::new(second, nanosecond).unwrap())
}

pub(super) fn optional_time() -> impl Strategy<Value = Option<Timestamp>> {
    of(time())
}

fn release() -> impl Strategy<Value = ReleaseName> {
    parsed("[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?")
}

fn key() -> impl Strategy<Value = ReleaseKey> {
    (parsed("[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?"), release()).prop_map(|(namespace, name)| ReleaseKey { namespace, name })
}

fn connection_id() -> impl Strategy<Value = ConnectionId> {
    parsed("[a-z][a-z0-9_]{0,30}")
}

fn operation_id() -> impl Strategy<Value = OperationId> {
    parsed("[A-Za-z0-9-]{1,64}")
}

fn server() -> impl Strategy<Value = ServerName> {
    parsed("[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?")
}

fn identity() -> BoxedStrategy<Identity> {
    (parsed::<ProjectName>("\\PC{1,63}"), of(parsed::<GitBranch>("\\PC{1,255}")))
        .prop_map(|(project, branch)| Identity::new(project, branch))
        .boxed()
}

fn info() -> BoxedStrategy<OperationInfo> {
    let caller = (text(), text()).prop_map(|(request_id, actor)| Caller { request_id, actor });
    let hash = "[0-9a-f]{64}".prop_map(|hex: String| RequestHash::from_recorded(hex));
    (operation_id(), one_of(OperationKind::ALL), key(), of(identity()), hash, caller, time())
        .prop_map(|(id, kind, key, identity, task_hash, caller, submitted_at)| OperationInfo {
            id,
            kind,
            key,
            identity,
            task_hash,
            caller,
            submitted_at,
        })
        .boxed()
}

fn request() -> BoxedStrategy<DeployRequest> {
    let place = (
        identity(),
        parsed("[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?"),
        parsed("[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?"),
        parsed("[a-z0-9]{1,20}\\.[a-z]{2,5}"),
        parsed("\\{name\\}(-\\{customer\\})?\\.\\{domain\\}"),
    );
    let image = (text(), text(), text()).prop_map(|(repository, name, tag)| Image { repository, name, tag });
    let words = (one_of(Environment::ALL), one_of(CloudProvider::ALL), of(one_of(Warehouse::ALL)), any::<bool>(), of(text()));
    let git = (text(), secret(), secret(), secret(), text()).prop_map(
        |(dbt_repo_name, gitlink_secret, gitlink_deploy_key, package_repo_token, package_repo_token_name)| GitSource {
            dbt_repo_name,
            gitlink_secret,
            gitlink_deploy_key,
            package_repo_token,
            package_repo_token_name,
        },
    );
    let credentials = (of(text()), of(secret())).prop_map(|(user, password)| RequestedCredentials { user, password });
    let options = (any::<u8>(), any::<u8>(), any::<bool>(), any::<bool>(), one_of(CeleryLogLevel::ALL), text(), text(), text()).prop_map(
        |(worker_num, max_requests, enable_ddtrace, debug, celery_log_level, cicd_env_key, cicd_env_value, app_version)| ServerOptions {
            worker_num,
            max_requests,
            enable_ddtrace,
            debug,
            celery_log_level,
            cicd_env_key,
            cicd_env_value,
            app_version,
        },
    );
    let cpu = || parsed("[1-9][0-9]{0,3}m?");
    let bytes = || parsed("[1-9][0-9]{0,4}(Mi|Gi)");
    let resources =
        (cpu(), cpu(), bytes(), bytes(), bytes()).prop_map(|(cpu_request, cpu_limit, memory_request, memory_limit, storage_size)| {
            Resources { cpu_request, cpu_limit, memory_request, memory_limit, storage_size }
        });
    (place, image, words, git, credentials, options, resources)
        .prop_map(
            |(
                (identity, namespace, customer, domain, host_template),
                image,
                (environment, cloud_provider, warehouse, https_enabled, service_account),
                git,
                credentials,
                options,
                resources,
            )| DeployRequest {
                identity,
                namespace,
                customer,
                domain,
                host_template,
                image,
                environment,
                cloud_provider,
                warehouse,
                https_enabled,
                git,
                credentials,
                service_account,
                options,
                resources,
            },
        )
        .boxed()
}

fn task() -> BoxedStrategy<Task> {
    prop_oneof![
        request().prop_map(|request| Task::Deploy(Box::new(request))),
        Just(Task::Delete),
        any::<bool>().prop_map(|force| Task::Suspend { force }),
        Just(Task::Resume),
        Just(Task::Settle),
        Just(Task::FollowDags),
    ]
    .boxed()
}

fn events() -> BoxedStrategy<Vec<OperationEvent>> {
    let event = (any::<u64>(), time(), one_of(Phase::ALL), any::<bool>(), text())
        .prop_map(|(sequence, at, phase, begins_phase, message)| OperationEvent { sequence, at, phase, begins_phase, message });
    vec(event, 0..4).boxed()
}

fn autopsy() -> BoxedStrategy<Autopsy> {
    let container = (text(), text(), text(), of(text()), of(text()), any::<Option<i32>>(), any::<u32>(), texts()).prop_map(
        |(pod, container, state, reason, message, exit_code, restarts, log)| ContainerReport {
            pod,
            container,
            state,
            reason,
            message,
            exit_code,
            restarts,
            log,
        },
    );
    let event = (time(), text(), text(), text(), any::<u32>()).prop_map(|(at, object, reason, message, count)| ClusterEvent {
        at,
        object,
        reason,
        message,
        count,
    });
    let volume = (text(), text(), of(text())).prop_map(|(claim, phase, message)| VolumeReport { claim, phase, message });
    (vec(container, 0..3), vec(event, 0..3), of(text()), vec(volume, 0..3), texts())
        .prop_map(|(containers, events, scheduling, volumes, gaps)| Autopsy { containers, events, scheduling, volumes, gaps })
        .boxed()
}

fn failure() -> BoxedStrategy<Failure> {
    (one_of(FailureCode::ALL), text(), of(one_of(Phase::ALL)), one_of(UndoOutcome::ALL), of(autopsy()), texts())
        .prop_map(|(code, message, phase, undo, autopsy, available)| Failure {
            code,
            message,
            phase,
            undo,
            autopsy: autopsy.map(Box::new),
            available,
        })
        .boxed()
}

fn ledger() -> BoxedStrategy<Ledger> {
    let stored = (connection_id(), text(), text(), of(text()), of(text()), of(key()), any::<bool>()).prop_map(
        |(id, conn_type, url, login, description, owner, has_foreign_fields)| StoredConnection {
            id,
            conn_type,
            url,
            login,
            description,
            owner,
            has_foreign_fields,
        },
    );
    let intent = (connection_id(), of(stored)).prop_map(|(id, before)| ConnectionIntent { id, before });
    let revision = || any::<Option<u32>>().prop_map(|number| number.map(RevisionNumber));
    let rebuild = (any::<bool>(), any::<bool>()).prop_map(|(grow, adopt)| Rebuild { grow, adopt });
    let flags = (any::<bool>(), any::<bool>(), rebuild, any::<bool>(), any::<bool>(), any::<bool>());
    let before = (texts(), any::<Option<u32>>(), of(one_of(DagState::ALL)));
    (of(intent), flags, revision(), revision(), of(server()), before, of(failure()), debts())
        .prop_map(|(connection, flags, revision, previous, server, before, undoing, owed)| {
            let (connecting, writing, rebuild, adopting, waking, suspending) = flags;
            let (claims_before, replicas_before, dag_state_before) = before;
            Ledger {
                connection,
                connecting,
                revision,
                previous,
                writing,
                rebuild,
                server,
                adopting,
                waking,
                suspending,
                claims_before,
                replicas_before,
                dag_state_before,
                undoing: undoing.map(Box::new),
                owed,
            }
        })
        .boxed()
}

fn running() -> BoxedStrategy<RunningOperation> {
    let stale_after = any::<u32>().prop_map(|ms| Duration::from_millis(ms.into()));
    let lock = (text().prop_map(HolderId), stale_after, any::<u64>(), any::<bool>(), of(operation_id()));
    (info(), task(), lock, time(), one_of(Phase::ALL), ledger(), events())
        .prop_map(|(info, task, (holder, stale_after, renewal, released, cancelled_by), started_at, phase, ledger, events)| {
            RunningOperation { info, task, holder, stale_after, renewal, released, cancelled_by, started_at, phase, ledger, events }
        })
        .boxed()
}

fn success() -> BoxedStrategy<Success> {
    let report = || {
        (of(connection_id()), of(text()), one_of(ConnectionOutcome::ALL), of(text()))
            .prop_map(|(id, url, status, error)| ConnectionReport { id, url, status, error })
    };
    prop_oneof![
        (text(), one_of(ReleaseStatus::ALL), any::<u32>().prop_map(RevisionNumber), any::<bool>(), report(), texts()).prop_map(
            |(host, status, revision, unchanged, connection, notes)| Success::Deployed {
                host,
                status,
                revision,
                unchanged,
                connection,
                notes
            }
        ),
        (texts(), report()).prop_map(|(claims, connection)| Success::Deleted { claims, connection }),
        Just(Success::Suspended),
        Just(Success::Resumed),
        Just(Success::Settled),
        of(one_of(DagState::ALL)).prop_map(|state| Success::FollowedDags { state }),
    ]
    .boxed()
}

fn debts() -> BoxedStrategy<Vec<Debt>> {
    let debt = prop_oneof![
        connection_id().prop_map(Debt::Connection),
        Just(Debt::OwnConnections),
        connection_id().prop_map(Debt::Login),
        (server(), text()).prop_map(|(server, name)| Debt::Claim { server, name }),
        release().prop_map(Debt::Replaced),
        (server(), vec(text(), 0..3)).prop_map(|(server, claims_before)| Debt::Remains { server, claims_before }),
    ];
    vec(debt, 0..3).boxed()
}

fn finished() -> BoxedStrategy<FinishedOperation> {
    let outcome = prop_oneof![success().prop_map(Ok), failure().prop_map(Err)];
    (info(), optional_time(), time(), outcome, debts(), events())
        .prop_map(|(info, started_at, finished_at, outcome, debts, events)| FinishedOperation {
            info,
            started_at,
            finished_at,
            outcome,
            debts,
            events,
        })
        .boxed()
}

pub(super) fn record() -> BoxedStrategy<OperationRecord> {
    let queued = (info(), task()).prop_map(|(info, task)| QueuedOperation { info, task });
    let finished = finished().prop_map(Arc::new);
    (key(), of(running()), vec(queued, 0..2), vec(finished, 0..3))
        .prop_map(|(key, running, waiting, finished)| OperationRecord { key, running, waiting, finished })
        .boxed()
}
