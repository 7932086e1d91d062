//! Every setting of the service, one row each. `--help`, `/info` and the README's table come from here.

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Its variable in the environment, and its key in the file.
    pub(crate) name: &'static str,
    /// What a file may hold for it.
    pub(crate) kind: Kind,
    /// Its value when nothing is set, spelled as in the environment.
    pub(crate) default: Option<&'static str>,
    /// Its value when nothing is set with `serve --embedded`, where that is another.
    pub(crate) embedded: Option<&'static str>,
    /// What it does.
    pub(crate) doc: &'static str,
}

/// What a file may hold for a setting, beside a text that is spelled as in the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A text and nothing else: `1.10` without quotes would arrive as 1.1.
    Text,
    /// As `Text`; its value is never shown, and `<NAME>_FILE` names a file that holds it.
    Secret,
    /// A whole number.
    Number,
    /// A boolean.
    Flag,
    /// A whole number of seconds.
    Duration,
    /// A list of texts.
    List,
    /// A table.
    Json,
}

/// Makes a constant of each row, and the list of them.
macro_rules! table {
    ($($name:ident: $kind:ident $(= $default:literal)? $(, embedded $embedded:literal)?; $doc:literal)+) => {
        $(
            #[doc = $doc]
            pub(crate) const $name: &Setting = &Setting {
                name: stringify!($name),
                kind: Kind::$kind,
                default: table!(@option $($default)?),
                embedded: table!(@option $($embedded)?),
                doc: $doc,
            };
        )+

        /// All settings, in the order in which they are shown.
        pub(crate) const TABLE: &[&Setting] = &[$($name),+];
    };
    (@option) => { None };
    (@option $value:literal) => { Some($value) };
}

table! {
    SECRET_KEY: Secret;
        "The token that callers send as `Authorization: Bearer …`. Required; with `--embedded` one is made and printed."
    SECRET_KEY_PREVIOUS: Secret;
        "A second token that is taken too, for the time of a rotation."
    HOST: Text = "0.0.0.0", embedded "127.0.0.1";
        "The IP address to listen on, or `localhost`."
    PORT: Number = "6798";
        "The port to listen on; 0 takes any free one."
    KUBERNETES_NAMESPACE: Text = "dbt-server";
        "Where deployments go when a request names no namespace, and where operations are kept."
    KUBERNETES_CONTEXT: Text;
        "The context of the kubeconfig. Without it the kubeconfig's current one, or the cluster that the service runs in."
    HELM_ENGINE: Text = "native";
        "What writes releases: `native`, or `command` for the program `helm` (3.14 or later, or 4) on the `PATH`. See docs/engines.md."
    ALLOWED_NAMESPACES: List;
        "Further namespaces that a request may name, separated by commas."
    CLOUD_PROVIDER: Text = "gcp";
        "`cloud_provider` of a request that names none: `aws`, `gcp`, `azure` or `self-managed`."
    GCP_SERVICE_ACCOUNT: Text;
        "`service_account` (an e-mail address) of a request that names none."
    DEFAULT_CUSTOMER: Text, embedded "demo";
        "`customer` of a request that names none. Without it requests must name one."
    DEFAULT_DOMAIN: Text, embedded "example.com";
        "`domain` of a request that names none. Without it requests must name one."
    DEFAULT_TAG: Text, embedded "1.0.0";
        "`tag` (of the server's image) of a request that names none. Without it requests must name one."
    SERVER_SIZES: Json;
        "Named sizes that a request may ask for, as JSON: `{\"small\": {\"cpu_request\": \"500m\", \"cpu_limit\": \"1\", \"memory_request\": \"1Gi\", \"memory_limit\": \"2Gi\", \"storage_size\": \"1Gi\"}}`."
    SERVER_HOST_TEMPLATE: Text = "{name}.{customer}.{domain}";
        "The public host name of a server with `https_enabled`, made of `{name}`, `{customer}`, `{domain}` and fixed text."
    SERVER_IMAGE_PULL_POLICY: Text;
        "When nodes pull a server's image: `Always`, `IfNotPresent` or `Never`. Without it `Always` for the tag `latest`, else `IfNotPresent`."
    SERVER_GATEWAY: Text = "ingress";
        "What publishes a server with `https_enabled`: `ingress`, `ingressroute` (Traefik) or `httproute` (Gateway API). The cluster must have the kind, else the service does not get ready."
    SERVER_PROXY_TIMEOUT: Duration = "300s";
        "How long a server's nginx waits for an answer of dbt, in whole seconds."
    SERVER_TERMINATION_GRACE: Duration = "60s";
        "How long a server may go on with its tasks when it is told to end, in whole seconds; half of `UNDO_TIMEOUT` at most."
    SERVER_EPHEMERAL_STORAGE_LIMIT: Text;
        "How much a server may write beside its volume, such as `2Gi`. Without it there is no limit."
    SERVER_SECURITY: Text = "hardened";
        "`hardened`, or `legacy` for privileged pods as the replaced service made them."
    SERVER_OVERLAY_FILE: Text;
        "A YAML file with partial objects that are merged into every server's, by kind. It reaches a server at its next deployment."
    AIRFLOW_URL: Text;
        "The address of Airflow 2 or 3, without `/api/…`. Without it no connection is registered, and answers say `not_configured`; `serve --embedded` then has an Airflow in memory."
    AIRFLOW_USER: Text;
        "Who the service is in Airflow: an account with the role Op or Admin. Required with `AIRFLOW_URL`."
    AIRFLOW_PASSWORD: Secret;
        "The password of that account. Required with `AIRFLOW_URL`."
    AIRFLOW_CA_FILE: Text;
        "A file with certificates in PEM, of which one must have issued Airflow's; those that the system trusts do not count then."
    SLEEP_WITH_DAGS: Flag = "false";
        "Puts a server to sleep when all DAGs of its release are paused, and wakes it when one is not: those with the tag `api_operator_dbt` and the description `Release: <release>`."
    DAGS_INTERVAL: Duration = "60s";
        "How often the DAGs are looked at with `SLEEP_WITH_DAGS`; at least 1s."
    DEPLOY_TIMEOUT: Duration = "30m";
        "How long a deployment may take in all."
    UNDO_TIMEOUT: Duration = "5m";
        "How long the undo of a deployment waits for the old server."
    PULL_ERROR_WINDOW: Duration = "60s";
        "How long an image may fail to be pulled, or a node not find a Secret that was just made, before the deployment is given up."
    CRASH_LOOP_RESTARTS: Number = "3";
        "Restarts of a container after which the deployment is given up."
    NO_POD_WINDOW: Duration = "10s";
        "How long there may be no pod before the cluster is asked why."
    MAX_CONCURRENT_DEPLOYMENTS: Number = "20";
        "Deployments that run side by side in each replica; others wait."
    MAX_QUEUED_OPERATIONS: Number = "200";
        "Operations that may wait in each replica; further ones that would have to are answered with 429."
    OPERATION_RETENTION: Duration = "1h";
        "How long an operation stays readable after its end; at least 1m."
    LOCK_STALE_AFTER: Duration = "30s";
        "After how long without a sign of life an operation is taken over; at least 6s."
    REQUESTS_PER_SECOND: Number = "50";
        "Requests that each token may send per second; further ones are answered with 429."
    MAX_CONNECTIONS: Number = "1024";
        "Connections that may be open at once; others wait until one is closed. A caller who waits for a deployment holds one."
    CORS_ORIGINS: List = "*";
        "Origins of web pages that may call the service, separated by commas; `*` is every origin, an empty text none."
    SHUTDOWN_GRACE: Duration = "25s";
        "How long running operations may go on after SIGTERM. Keep it 5s below the pod's `terminationGracePeriodSeconds`."
    FLASK_ENV: Text = "production";
        "`development` writes logs for people; everything else writes JSON."
    LOG_LEVEL: Text = "info";
        "`trace`, `debug`, `info`, `warning` or `error`."
    DEBUG: Flag = "false";
        "Writes more logs: `LOG_LEVEL` is `debug` unless it is set."
    EMBEDDED_READY_AFTER: Duration = "1s";
        "How long a server of `--embedded` takes to get ready."
    CONFIG_FILE: Text;
        "A TOML or YAML file (`.toml`, `.yaml`, `.yml`) with these settings under these names. The environment wins over it."
}

// === impl Setting ===

impl Setting {
    /// Its value when nothing is set.
    pub(crate) fn default_for(&self, embedded: bool) -> Option<&'static str> {
        self.embedded.filter(|_| embedded).or(self.default)
    }

    /// Whether its value must not be shown.
    pub(crate) fn is_secret(&self) -> bool {
        self.kind == Kind::Secret
    }

    /// The variable that names a file with the value, for secrets.
    pub(crate) fn file_variable(&self) -> Option<String> {
        self.is_secret().then(|| format!("{}_FILE", self.name))
    }
}
