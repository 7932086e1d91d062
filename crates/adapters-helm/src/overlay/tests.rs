use dbt_controller_port_contracts::fixtures;
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::content::{Inherited, release_content};
use crate::manifest::Manifest;
use crate::{Gateway, ServerSettings};

#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    let error = Overlay::parse(text).expect_err(text);
    assert_eq!(error.faults(), expected, "{text}");
}

fn stateful_set(spec: &str) -> String {
    format!("apiVersion: apps/v1\nkind: StatefulSet\nspec: {spec}\n")
}

fn manifest(overlay: &str, gateway: Gateway) -> Manifest {
    let settings = ServerSettings { overlay: Overlay::parse(overlay).unwrap(), gateway, ..ServerSettings::default() };
    let desired = fixtures::request("p", Some("main")).https().desired();
    release_content(&desired, &Inherited { htpasswd: None, created_at: Timestamp::UNIX_EPOCH }, &settings).unwrap().manifest
}

fn only<'a>(manifest: &'a Manifest, kind: &str) -> &'a Value {
    manifest.objects().iter().find(|object| object.kind() == kind).unwrap().value()
}

#[test]
fn an_empty_overlay_changes_nothing() {
    for text in ["", "\n", "# nothing\n", "---\n---\n"] {
        assert_eq!(manifest(text, Gateway::Ingress), manifest("", Gateway::Ingress), "{text:?}");
    }
}

#[test]
fn lists_are_merged_by_their_keys() {
    let overlay =
        stateful_set("{template: {spec: {containers: [{name: dbt-server, env: [{name: DEBUG, value: 'true'}, {name: NEW, value: x}]}]}}}");
    let (with, without) = (manifest(&overlay, Gateway::Ingress), manifest("", Gateway::Ingress));
    let containers = |manifest| json::items_at(only(manifest, "StatefulSet"), &["spec", "template", "spec", "containers"]).to_vec();
    let (with, without) = (containers(&with), containers(&without));
    assert_eq!(with.len(), 2);
    assert_eq!(with[1], without[1]);
    let variables = |containers: &[Value]| json::items_at(&containers[0], &["env"]).to_vec();
    assert_eq!(variables(&with).len(), variables(&without).len() + 1);
    assert!(variables(&with).contains(&json!({ "name": "DEBUG", "value": "true" })));
}

#[test]
fn the_claim_template_keeps_its_name_and_size() {
    let overlay = stateful_set("{volumeClaimTemplates: [{metadata: {labels: {tier: fast}}, spec: {storageClassName: fast}}]}");
    let manifest = manifest(&overlay, Gateway::Ingress);
    let claims = json::items_at(only(&manifest, "StatefulSet"), &["spec", "volumeClaimTemplates"]);
    assert_eq!(claims.len(), 1);
    assert_eq!(claims[0]["metadata"]["name"], "dbt-server-p-main");
    assert_eq!(claims[0]["metadata"]["labels"]["tier"], "fast");
    assert_eq!(claims[0]["spec"]["storageClassName"], "fast");
    assert_eq!(claims[0]["spec"]["resources"]["requests"]["storage"], "1Gi");
}

#[test]
fn other_gateways_are_merged_too() {
    let route = manifest(
        "apiVersion: traefik.io/v1alpha1\nkind: IngressRoute\nspec: {entryPoints: [public], routes: [{middlewares: [{name: allow, namespace: edge}]}], tls: {secretName: wildcard, certResolver: acme}}\n",
        Gateway::IngressRoute,
    );
    let spec = &only(&route, "IngressRoute")["spec"];
    assert_eq!(spec["entryPoints"], json!(["public"]));
    assert_eq!(spec["routes"][0]["match"], "Host(`dbt-server-p-main.acme.example.com`)");
    assert_eq!(spec["routes"][0]["middlewares"], json!([{ "name": "allow", "namespace": "edge" }]));
    assert_eq!(spec["tls"], json!({ "secretName": "wildcard", "certResolver": "acme" }));

    let route = manifest(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nspec: {parentRefs: [{name: edge, namespace: edge, sectionName: https}], rules: [{timeouts: {request: 300s}, filters: [{type: X, x: {a: 1}}]}]}\n",
        Gateway::HttpRoute,
    );
    let spec = &only(&route, "HTTPRoute")["spec"];
    assert_eq!(spec["parentRefs"], json!([{ "name": "edge", "namespace": "edge", "sectionName": "https" }]));
    assert_eq!(spec["rules"][0]["timeouts"], json!({ "request": "300s" }));
    assert_eq!(spec["rules"][0]["filters"], json!([{ "type": "X", "x": { "a": 1 } }]));
    assert_eq!(spec["rules"][0]["backendRefs"], json!([{ "name": "dbt-server-p-main", "port": 80 }]));
}

#[test]
fn what_holds_a_server_together_is_refused() {
    refused(
        &stateful_set("{replicas: 2, serviceName: x, selector: {matchLabels: {a: b}}, updateStrategy: {type: OnDelete}}"),
        &[
            "StatefulSet: `spec.selector` cannot be changed: it can never change",
            "StatefulSet: `spec.serviceName` cannot be changed: it can never change",
            "StatefulSet: `spec.replicas` cannot be changed: the controller puts servers to sleep and wakes them",
            "StatefulSet: `spec.updateStrategy` cannot be changed: a deployment waits for the new pod",
        ],
    );
    refused(
        &stateful_set("{volumeClaimTemplates: [{metadata: {name: x}, spec: {resources: {requests: {storage: 9Gi}}}}, {spec: {}}]}"),
        &[
            "StatefulSet: `spec.volumeClaimTemplates[0].spec.resources` cannot be changed: the size comes from the request",
            "StatefulSet: `spec.volumeClaimTemplates` can have one item only, which is merged with ours",
            "StatefulSet: `spec.volumeClaimTemplates[0].metadata.name` cannot be changed: of metadata only labels and annotations can",
        ],
    );
    refused(
        "apiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: z}\nspec: {selector: {a: b}, clusterIP: None}\n",
        &[
            "Service: `spec.selector` cannot be changed: it is what keeps the traffic of servers apart",
            "Service: `spec.clusterIP` cannot be changed: servers cannot share an address",
            "Service: `metadata.name` cannot be changed: of metadata only labels and annotations can",
            "Service: `metadata.namespace` cannot be changed: of metadata only labels and annotations can",
        ],
    );
    refused(
        "apiVersion: v1\nkind: Secret\ntype: x\nstringData: {A: b}\ndata: {BASIC_AUTH: eA==, GITLINK_SECRET: eA==, OTHER: eA==}\n",
        &[
            "Secret: `type` cannot be changed: it can never change",
            "Secret: `stringData` cannot be changed: an apply cannot take it back; use `data`, in base64",
            "Secret: `data.BASIC_AUTH` cannot be changed: it comes from the request",
            "Secret: `data.GITLINK_SECRET` cannot be changed: it comes from the request",
        ],
    );
    refused(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nspec: {rules: [{host: x.example.com}]}\n",
        &["Ingress: `spec.rules` cannot be changed: the host is the server's own"],
    );
    refused(
        "apiVersion: traefik.io/v1alpha1\nkind: IngressRoute\nspec: {routes: [{match: 'Host(`x`)'}]}\n",
        &["IngressRoute: `spec.routes[0].match` cannot be changed: the host is the server's own"],
    );
    refused(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nspec: {hostnames: [x.example.com]}\n",
        &["HTTPRoute: `spec.hostnames` cannot be changed: the host is the server's own"],
    );
}

#[test]
fn labels_and_annotations_of_ours_and_of_helm_are_refused() {
    for place in
        ["{metadata: METADATA}", "{spec: {template: {metadata: METADATA}}}", "{spec: {volumeClaimTemplates: [{metadata: METADATA}]}}"]
    {
        for (map, keys) in [
            ("labels", &["app", "dbt-project", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "helm.sh/chart"][..]),
            (
                "annotations",
                &[
                    "dbt-controller.fast.bi/project",
                    "dbt-controller.fast.bi/any",
                    "checksum/secret",
                    "helm.sh/hook",
                    "helm.sh/resource-policy",
                    "meta.helm.sh/release-name",
                ],
            ),
        ] {
            for key in keys {
                let fields = place.replace("METADATA", &format!("{{{map}: {{{key}: x}}}}"));
                let document = format!("apiVersion: apps/v1\nkind: StatefulSet\n{}", &fields[1..fields.len() - 1]);
                let error = Overlay::parse(&document).expect_err(&document).to_string();
                assert!(error.contains(&format!("`{key}`")), "{error}");
            }
        }
    }
}

#[test]
fn unknown_missing_and_ill_typed_fields_are_refused() {
    refused(&stateful_set("{template: {spec: {nodeSelctor: {a: b}}}}"), &["StatefulSet: `spec.template.spec.nodeSelctor` is unknown"]);
    refused(
        &stateful_set("{template: {spec: {containers: [{image: x}]}}}"),
        &["StatefulSet: `spec.template.spec.containers[0].name` is missing"],
    );
    refused(
        &stateful_set("{template: {spec: {nodeSelector: null}}}"),
        &["StatefulSet: `spec.template.spec.nodeSelector` is null, and an overlay cannot take away"],
    );
    refused(
        &stateful_set("{template: {spec: {containers: [{name: dbt-server, ports: [{name: x}], env: [{name: A, value: 1}]}]}}}"),
        &["StatefulSet: `spec.template.spec.containers[0].env[0].value`: invalid type: integer `1`, expected a string"],
    );
    refused(
        &stateful_set("{template: {spec: {containers: [{name: dbt-server, ports: [{name: x}]}]}}}"),
        &["StatefulSet: `spec.template.spec.containers[0].ports[0].containerPort` is missing"],
    );
    refused(
        "apiVersion: traefik.io/v1alpha1\nkind: IngressRoute\nspec: {tls: {secret: x}}\n",
        &["IngressRoute: `spec.tls.secret` is unknown"],
    );
}

#[test]
fn an_amount_may_be_a_number() {
    let overlay = stateful_set("{template: {spec: {containers: [{name: dbt-server, resources: {limits: {cpu: 2}}}]}}}");
    let manifest = manifest(&overlay, Gateway::Ingress);
    assert_eq!(only(&manifest, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"], "2");
}

#[test]
fn documents_of_the_wrong_kind_are_refused_all_at_once() {
    refused(
        "apiVersion: v1\nkind: Pod\n---\napiVersion: v1\nkind: StatefulSet\n---\njust text\n---\napiVersion: v1\nkind: ConfigMap\n---\napiVersion: v1\nkind: ConfigMap\n",
        &[
            "Pod: `kind` must be one of `ServiceAccount`, `Secret`, `ConfigMap`, `Service`, `StatefulSet`, `Ingress`, `IngressRoute`, `HTTPRoute`",
            "StatefulSet: `apiVersion` must be `apps/v1`",
            "document 3: `kind` must be one of `ServiceAccount`, `Secret`, `ConfigMap`, `Service`, `StatefulSet`, `Ingress`, `IngressRoute`, `HTTPRoute`",
            "ConfigMap: there are two documents of this kind; put them together",
        ],
    );
    assert!(Overlay::parse("a: [").unwrap_err().to_string().contains("line 1"));
    assert!(Overlay::parse("apiVersion: v1\napiVersion: v1\nkind: Secret\n").unwrap_err().to_string().contains("duplicate"));
}
