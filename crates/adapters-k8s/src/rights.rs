//! What the service's account must be allowed in the cluster, as data: the check at start and the Role in `deploy/role.yaml` come from it.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use dbt_controller_domain::model::Namespace;
use dbt_controller_kube_access::{Fault, call};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, ResourceRule, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SelfSubjectRulesReview,
    SelfSubjectRulesReviewSpec,
};
use kube::Client;
use kube::api::{Api, PostParams};

/// How long one question may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How many questions are asked at a time.
const AT_A_TIME: usize = 8;

/// Something that the account must or should be allowed to do with one kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// The API group, empty for the core.
    pub group: &'static str,
    /// The kind, in the plural.
    pub resource: &'static str,
    /// A part of it that has rights of its own.
    pub subresource: Option<&'static str>,
    /// What is done with it.
    pub verbs: &'static [&'static str],
    /// Whether it is needed in the service's own namespace only, and not in each where deployments are allowed.
    pub home_only: bool,
    /// Whether the service cannot do without it.
    pub essential: bool,
    /// What does not work without it.
    pub without: &'static str,
}

/// A verb of a right that the account lacks in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingRight {
    /// Which right.
    pub right: Right,
    /// The verb.
    pub verb: &'static str,
    /// The namespace.
    pub namespace: Namespace,
    /// Whether the service cannot do without it.
    pub essential: bool,
}

const WRITTEN: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

const fn essential(group: &'static str, resource: &'static str, verbs: &'static [&'static str], without: &'static str) -> Right {
    Right { group, resource, subresource: None, verbs, home_only: false, essential: true, without }
}

const RIGHTS: &[Right] = &[
    // `create` for dry runs only: pods are made by the StatefulSet controller.
    essential("", "pods", &["get", "list", "watch", "create", "delete"], "nothing is known of the servers' state, and broken pods stay"),
    // `update` for the records of operations, which are written whole.
    essential(
        "",
        "secrets",
        &["get", "list", "watch", "create", "update", "patch", "delete"],
        "releases and operations cannot be read or written",
    ),
    essential("", "configmaps", WRITTEN, "servers cannot be made"),
    essential("", "services", WRITTEN, "servers cannot be made"),
    essential("", "serviceaccounts", WRITTEN, "servers cannot be made"),
    essential(
        "",
        "persistentvolumeclaims",
        &["get", "list", "watch", "patch", "delete"],
        "the servers' data can neither be grown nor removed",
    ),
    essential("apps", "statefulsets", WRITTEN, "servers cannot be made"),
    essential("networking.k8s.io", "ingresses", WRITTEN, "servers cannot be published"),
    Right {
        group: "",
        resource: "events",
        subresource: None,
        verbs: &["list"],
        home_only: false,
        essential: false,
        without: "failures are told without the cluster's events, and volumes that cannot be mounted are noticed only when time is up",
    },
    Right {
        group: "",
        resource: "pods",
        subresource: Some("log"),
        verbs: &["get"],
        home_only: false,
        essential: false,
        without: "failures are told without the servers' last log lines",
    },
    Right {
        group: "events.k8s.io",
        resource: "events",
        subresource: None,
        verbs: &["create"],
        home_only: false,
        essential: false,
        without: "how operations ended is told in the log only, and not by Events",
    },
    Right {
        group: "coordination.k8s.io",
        resource: "leases",
        subresource: None,
        verbs: &["get", "create", "update"],
        home_only: true,
        essential: false,
        without: "every replica does the background work",
    },
];

/// What a service needs whose servers are published by Traefik's IngressRoutes.
pub const INGRESS_ROUTES: Right = essential("traefik.io", "ingressroutes", WRITTEN, "servers cannot be published");
/// What a service needs whose servers are published by the HTTPRoutes of the Gateway API.
pub const HTTP_ROUTES: Right = essential("gateway.networking.k8s.io", "httproutes", WRITTEN, "servers cannot be published");

/// Everything that the account must or should be allowed to do, whatever publishes the servers.
pub fn needed_rights() -> &'static [Right] {
    RIGHTS
}

/// Asks the cluster what of [`needed_rights`] and `more` our account lacks, in namespaces of which the first is the service's own: one question
/// per namespace. Where not all that decides can be listed, as with a webhook, one per verb, kind and namespace.
///
/// # Errors
/// If the cluster does not answer, or does not let us ask.
pub async fn missing_rights(client: Client, namespaces: &[Namespace], more: &[Right]) -> Result<Vec<MissingRight>, Fault> {
    let reviews = Api::<SelfSubjectRulesReview>::all(client.clone());
    let rules = namespaces.iter().cloned().map(|namespace| ask_rules(&reviews, namespace));
    let rules: HashMap<Namespace, Vec<ResourceRule>> =
        stream::iter(rules).buffered(AT_A_TIME).try_filter_map(async |found| Ok(found)).try_collect().await?;
    let is_open = |question: &MissingRight| !rules.contains_key(&question.namespace);
    let (open, mut missing): (Vec<_>, Vec<_>) = questions(namespaces, more).into_iter().partition(is_open);
    missing.retain(|question| !rules[&question.namespace].iter().any(|rule| allows(rule, question)));

    let api = Api::<SelfSubjectAccessReview>::all(client);
    let open = open.into_iter().map(|question| ask(&api, question));
    let answers: Vec<Option<MissingRight>> = stream::iter(open).buffered(AT_A_TIME).try_collect().await?;
    missing.extend(answers.into_iter().flatten());
    Ok(missing)
}

/// All rules of our account in a namespace; none where more than these decide, or where they may not be listed.
async fn ask_rules(api: &Api<SelfSubjectRulesReview>, namespace: Namespace) -> Result<Option<(Namespace, Vec<ResourceRule>)>, Fault> {
    let spec = SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_string()) };
    let review = SelfSubjectRulesReview { spec, ..SelfSubjectRulesReview::default() };
    let answer = match call(LIMIT, api.create(&PostParams::default(), &review)).await {
        Ok(answer) => answer,
        // Whoever may not list rules may still ask for each.
        Err(Fault::Forbidden(_) | Fault::NotFound(_)) => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let complete = answer.status.filter(|status| !status.incomplete && status.evaluation_error.is_none());
    Ok(complete.map(|status| (namespace, status.resource_rules)))
}

/// Whether a rule gives a right, as RBAC reads it.
/// <https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/apis/rbac/v1/evaluation_helpers.go>
fn allows(rule: &ResourceRule, question: &MissingRight) -> bool {
    let Right { group, resource, subresource, .. } = question.right;
    let has = |list: &[String], wanted: &str| list.iter().any(|word| word == "*" || word == wanted);
    let resources = rule.resources.as_deref().unwrap_or_default();
    let has_resource = match subresource {
        None => has(resources, resource),
        Some(part) => has(resources, &format!("{resource}/{part}")) || resources.contains(&format!("*/{part}")),
    };
    // A rule with names is about these objects only.
    let is_about_all = rule.resource_names.as_ref().is_none_or(Vec::is_empty);
    has(&rule.verbs, question.verb) && has(rule.api_groups.as_deref().unwrap_or_default(), group) && has_resource && is_about_all
}

/// Every verb of every right, in every namespace where it is needed.
fn questions(namespaces: &[Namespace], more: &[Right]) -> Vec<MissingRight> {
    let in_namespaces = |right: &Right| if right.home_only { 1 } else { usize::MAX };
    let verbs = RIGHTS.iter().chain(more).flat_map(|right| right.verbs.iter().map(move |verb| (*right, *verb)));
    verbs
        .flat_map(|(right, verb)| {
            let namespaces = namespaces.iter().take(in_namespaces(&right));
            namespaces.map(move |namespace| MissingRight { right, verb, namespace: namespace.clone(), essential: right.essential })
        })
        .collect()
}

/// Returns the question where the answer is no.
async fn ask(api: &Api<SelfSubjectAccessReview>, question: MissingRight) -> Result<Option<MissingRight>, Fault> {
    let Right { group, resource, subresource, .. } = question.right;
    let attributes = ResourceAttributes {
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        // Apart from the resource: `pods/log` as a resource is answered with yes by whoever may do everything with pods.
        subresource: subresource.map(str::to_owned),
        namespace: Some(question.namespace.to_string()),
        verb: Some(question.verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..SelfSubjectAccessReviewSpec::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let answer = call(LIMIT, api.create(&PostParams::default(), &review)).await?;
    let is_allowed = answer.status.is_some_and(|status| status.allowed);
    Ok((!is_allowed).then_some(question))
}

/// As in ``patch `statefulsets.apps` in namespace `a` (without it, servers cannot be made)``.
impl fmt::Display for MissingRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { right, verb, namespace, essential: _ } = self;
        write!(f, "{verb} `{right}` in namespace `{namespace}` (without it, {})", right.without)
    }
}

/// As in RBAC: `pods/log`, `statefulsets.apps`.
impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.resource)?;
        if let Some(subresource) = self.subresource {
            write!(f, "/{subresource}")?;
        }
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Request, Response};
    use http_body_util::BodyExt as _;
    use k8s_openapi::api::rbac::v1::{PolicyRule, Role};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    fn namespaces() -> Vec<Namespace> {
        ["home", "other"].map(|name| name.parse().unwrap()).to_vec()
    }

    #[test]
    fn every_verb_is_asked_for_in_every_namespace_where_it_is_needed() {
        let questions = questions(&namespaces(), &[INGRESS_ROUTES]);
        assert!(questions.iter().any(|question| question.right == INGRESS_ROUTES));
        let count = |resource: &str| questions.iter().filter(|question| question.right.resource == resource).count();
        assert_eq!(count("statefulsets"), 12);
        assert_eq!(count("pods"), 12, "five verbs and the log, in two namespaces");
        assert_eq!(count("leases"), 3, "at home only");
        let unique: BTreeSet<_> = questions.iter().map(ToString::to_string).collect();
        assert_eq!(unique.len(), questions.len());
    }

    #[test]
    fn a_missing_right_says_what_it_is_and_what_it_is_for() {
        let sentence = |resource: &str| {
            let questions = questions(&namespaces(), &[]);
            questions.iter().rfind(|question| question.right.to_string() == resource).unwrap().to_string()
        };
        assert_eq!(sentence("statefulsets.apps"), "delete `statefulsets.apps` in namespace `other` (without it, servers cannot be made)");
        assert_eq!(
            sentence("pods/log"),
            "get `pods/log` in namespace `other` (without it, failures are told without the servers' last log lines)"
        );
    }

    #[test]
    fn rules_are_read_as_rbac_reads_them() {
        let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let rule = |verbs: &[&str], groups: &[&str], resources: &[&str]| ResourceRule {
            verbs: texts(verbs),
            api_groups: Some(texts(groups)),
            resources: Some(texts(resources)),
            resource_names: None,
        };
        let allowed = |rule: &ResourceRule| {
            let all = questions(&namespaces()[..1], &[]);
            all.iter().filter(|question| allows(rule, question)).map(|it| format!("{} {}", it.verb, it.right)).collect::<Vec<_>>()
        };
        assert_eq!(allowed(&rule(&["*"], &["*"], &["*"])).len(), questions(&namespaces()[..1], &[]).len());
        assert_eq!(allowed(&rule(&["get", "list"], &["apps"], &["statefulsets"])), ["get statefulsets.apps", "list statefulsets.apps"]);
        assert_eq!(allowed(&rule(&["delete"], &["", "apps"], &["statefulsets", "pods"])), ["delete pods", "delete statefulsets.apps"]);
        assert_eq!(allowed(&rule(&["get"], &[""], &["pods"])), ["get pods"], "the log has rights of its own");
        for part in ["pods/log", "*/log"] {
            assert_eq!(allowed(&rule(&["*"], &["*"], &[part])), ["get pods/log"]);
        }
        let named = ResourceRule { resource_names: Some(texts(&["a"])), ..rule(&["*"], &["*"], &["*"]) };
        assert_eq!(allowed(&named), Vec::<String>::new());
        assert_eq!(allowed(&ResourceRule { verbs: texts(&["*"]), ..ResourceRule::default() }), Vec::<String>::new());
    }

    #[tokio::test]
    async fn where_more_than_rules_decides_each_right_is_asked_for() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let client = Client::new(
            tower::service_fn(move |request: Request<Body>| {
                let asked = Arc::clone(&counter);
                async move {
                    let is_about_rules = request.uri().path().ends_with("/selfsubjectrulesreviews");
                    let body: Value = serde_json::from_slice(&request.into_body().collect().await?.to_bytes()).unwrap();
                    let all = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
                    let status = if is_about_rules {
                        json!({"incomplete": true, "resourceRules": [all], "nonResourceRules": []})
                    } else {
                        asked.fetch_add(1, Ordering::Relaxed);
                        json!({"allowed": body["spec"]["resourceAttributes"]["resource"] != "leases"})
                    };
                    let answer = json!({"spec": body["spec"], "status": status}).to_string();
                    Ok::<_, tower::BoxError>(Response::new(Body::from(answer.into_bytes())))
                }
            }),
            "ns",
        );
        let missing = missing_rights(client, &namespaces(), &[]).await.unwrap();
        assert_eq!(missing.iter().map(|it| it.right.resource).collect::<Vec<_>>(), ["leases"; 3]);
        assert_eq!(asked.load(Ordering::Relaxed), questions(&namespaces(), &[]).len());
    }

    /// The rules that the rights make.
    fn rules() -> Vec<PolicyRule> {
        let rule = |right: &Right| PolicyRule {
            api_groups: Some(vec![right.group.to_owned()]),
            resources: Some(vec![right.to_string().split_once('.').map_or_else(|| right.to_string(), |(name, _)| name.to_owned())]),
            verbs: right.verbs.iter().map(|verb| (*verb).to_owned()).collect(),
            ..PolicyRule::default()
        };
        RIGHTS.iter().chain(&[INGRESS_ROUTES, HTTP_ROUTES]).map(rule).collect()
    }

    #[test]
    fn the_shipped_role_is_what_the_rights_say() {
        let role: Role = serde_saphyr::from_str(include_str!("../../../deploy/role.yaml")).unwrap();
        assert_eq!(role.rules.unwrap_or_default(), rules());
    }
}
