//! What helm says, as Helm 3.22 and 4.3 say it, and what it means.

use super::super::fault::of;

#[track_caller]
fn check(words: &str, meaning: &str) {
    assert_eq!(format!("{:?}", of(&format!("WARNING: something else\nError: {words}\n"))), meaning);
}

#[track_caller]
fn begins(words: &str, meaning: &str) {
    let error = format!("{:?}", of(&format!("Error: {words}")));
    assert!(error.starts_with(meaning), "{error} is not {meaning}");
}

#[test]
fn somebody_elses_object_is_named_with_its_owner() {
    check(
        "Unable to continue with install: Service \"dbt-server-a\" in namespace \"ns\" exists and cannot be imported into the current \
         release: invalid ownership metadata; label validation error: missing key \"app.kubernetes.io/managed-by\": must be set to \
         \"Helm\"; annotation validation error: missing key \"meta.helm.sh/release-name\": must be set to \"dbt-server-a\"",
        "ForeignObject { object: \"Service/dbt-server-a\", owner: \"no Helm release\" }",
    );
    check(
        "UPGRADE FAILED: Unable to continue with update: ConfigMap \"x\" in namespace \"ns\" exists and cannot be imported into the \
         current release: invalid ownership metadata; annotation validation error: key \"meta.helm.sh/release-name\" must equal \
         \"dbt-server-a\": current value is \"other\"",
        "ForeignObject { object: \"ConfigMap/x\", owner: \"release other\" }",
    );
}

#[test]
fn what_others_do_is_a_change() {
    begins("UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress", "Changed(");
    begins("another operation (install/upgrade/rollback) is in progress", "Changed(");
    begins("INSTALLATION FAILED: cannot reuse a name that is still in use", "Changed(");
    begins("uninstall: Release not loaded: dbt-server-a: release: not found", "Changed(");
    begins("UPGRADE FAILED: \"dbt-server-a\" has no deployed releases", "Changed(");
}

#[test]
fn refusals_name_the_object() {
    check(
        "UPGRADE FAILED: cannot patch \"dbt-server-a\" with kind StatefulSet: StatefulSet.apps \"dbt-server-a\" is invalid: spec: \
         Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden",
        "Refused { object: \"StatefulSet/dbt-server-a\", kind: Admission, message: \"UPGRADE FAILED: cannot patch \\\"dbt-server-a\\\" \
         with kind StatefulSet: StatefulSet.apps \\\"dbt-server-a\\\" is invalid: spec: Forbidden: updates to statefulset spec for fields \
         other than 'replicas' are forbidden\" }",
    );
    begins(
        "INSTALLATION FAILED: services \"a\" is forbidden: exceeded quota: few, requested: services=1, used: services=0, limited: \
         services=0",
        "Refused { object: \"services/a\", kind: Quota, ",
    );
    begins(
        "failed to create resource: admission webhook \"x.example.com\" denied the request: no",
        "Refused { object: \"an object\", kind: Admission, ",
    );
}

#[test]
fn rights_namespaces_and_the_network_are_told_apart() {
    begins(
        "query: failed to query with labels: secrets is forbidden: User \"u\" cannot list resource \"secrets\" in API group \"\" in the \
         namespace \"ns\"",
        "Forbidden(",
    );
    begins("INSTALLATION FAILED: create: failed to create: namespaces \"gone\" not found", "NamespaceMissing(");
    begins(
        "create: failed to create: secrets \"x\" is forbidden: unable to create new content in namespace ns because it is being terminated",
        "NamespaceMissing(",
    );
    begins("Kubernetes cluster unreachable: Get \"https://127.0.0.1:1/version\": dial tcp 127.0.0.1:1: connect: refused", "Unavailable(");
    begins("Get \"https://10.0.0.1/api\": net/http: TLS handshake timeout", "Unavailable(");
    begins(
        "create: failed to create: Secret \"sh.helm.release.v1.a.v1\" is invalid: data: Too long: may not be more than 1048576 bytes",
        "TooLarge(",
    );
    begins(
        "UPGRADE FAILED: cannot patch \"a\" with kind Service: Internal error occurred: failed calling webhook \"w.example.com\": failed to \
         call webhook: Post \"https://w.ns.svc:443/?timeout=10s\": no endpoints available for service \"w\"",
        "Unavailable(",
    );
    begins("what nobody knows", "Unexpected(");
    begins("", "Unexpected(\"helm: it ended with an error and said nothing\")");
}
