//! What a case calls its things.

use dbt_controller_domain::naming::Identity;
use dbt_controller_tests::replaced;
use uuid::Uuid;

use crate::scenario::Naming;

/// What a case calls its things: all cases share one Airflow, so its connections need names of their own.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) namespace: String,
    project: String,
    /// The name of the release that the replaced service makes of the project.
    replaced: String,
}

/// The project as it is told, and the name of the replaced service's release.
const PROJECT: &str = "shop";
const REPLACED_RELEASE: &str = "dbt-shop-00000000";

impl Names {
    /// Those of the next case in a namespace.
    pub(crate) fn within(namespace: String) -> Self {
        let project = format!("{PROJECT}-{}", id());
        let replaced = Identity::parse(&project, Some("main")).ok().and_then(|identity| identity.replaced_release_name()).unwrap();
        Self { namespace, project, replaced: replaced.to_string() }
    }

    pub(crate) fn project(&self) -> &str {
        &self.project
    }

    /// What every name of something in it has in it, and nobody else's.
    pub(crate) fn own_part(&self) -> &str {
        &self.project[PROJECT.len() + 1..]
    }

    pub(crate) fn release(&self, naming: Naming) -> String {
        match naming {
            Naming::Own => format!("dbt-server-{}-main", self.project),
            Naming::Replaced => self.replaced.clone(),
        }
    }

    /// What the objects are called.
    pub(crate) fn server(&self, naming: Naming) -> String {
        match naming {
            Naming::Own => self.release(naming),
            Naming::Replaced => replaced::server(&self.replaced),
        }
    }

    /// What the connection calls.
    pub(crate) fn invocations(&self, naming: Naming, https: bool) -> String {
        let server = self.server(naming);
        if https {
            format!("https://{server}.acme.example.com/invocations")
        } else {
            format!("http://{server}.{}.svc.cluster.local/invocations", self.namespace)
        }
    }

    pub(crate) fn connection(&self, naming: Naming) -> String {
        match naming {
            Naming::Own => format!("{}_main", self.project.replace('-', "_")),
            Naming::Replaced => self.replaced.clone(),
        }
    }

    /// A name of something in it as it is told: the same in each case.
    pub(crate) fn told(&self, name: &str) -> String {
        self.pairs().into_iter().fold(name.to_owned(), |name, (own, told)| name.replace(&own, &told))
    }

    /// Its names, each with the one by which it is told.
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        // The first has the project in it.
        [(self.replaced.clone(), REPLACED_RELEASE), (self.project.clone(), PROJECT), (self.project.replace('-', "_"), PROJECT)]
            .map(|(own, told)| (own, told.to_owned()))
            .into()
    }
}

/// Something that nobody else is called.
pub(crate) fn id() -> String {
    Uuid::new_v4().simple().to_string()[..12].to_owned()
}
