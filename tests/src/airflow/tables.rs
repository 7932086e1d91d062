//! What no API tells or makes: Airflow's tables.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::Mutex;

use super::Server;

const PASSWORD: &str = r#"
import json, os, sqlite3, sys
from cryptography.fernet import Fernet
table = sqlite3.connect(f"{os.environ['AIRFLOW_HOME']}/airflow.db", timeout=30)
row = table.execute("SELECT password, is_encrypted FROM connection WHERE conn_id = ?", sys.argv[1:]).fetchone()
password, encrypted = row or (None, False)
if encrypted and password is not None:
    password = Fernet(os.environ["AIRFLOW__CORE__FERNET_KEY"]).decrypt(password.encode()).decode()
print(json.dumps(password))
"#;

const ROW: &str = r#"
import json, os, sqlite3, sys
table = sqlite3.connect(f"{os.environ['AIRFLOW_HOME']}/airflow.db", timeout=30)
table.row_factory = sqlite3.Row
row = table.execute("SELECT * FROM connection WHERE conn_id = ?", sys.argv[1:]).fetchone()
print(json.dumps(dict(row) if row else None))
"#;

const READER: &str = r#"
import json, os, sqlite3, sys
from cryptography.fernet import Fernet
fernet = Fernet(os.environ["AIRFLOW__CORE__FERNET_KEY"])
table = sqlite3.connect(f"{os.environ['AIRFLOW_HOME']}/airflow.db", timeout=30)
table.row_factory = sqlite3.Row
for line in sys.stdin:
    rows = [dict(row) for row in table.execute("SELECT * FROM connection WHERE instr(conn_id, ?)", [line.strip()]).fetchall()]
    for row in rows:
        if row["is_encrypted"] and row["password"] is not None:
            row["password"] = fernet.decrypt(row["password"].encode()).decode()
    print(json.dumps(rows), flush=True)
"#;

const CONNECTION: &str = r#"
import json, os, sqlite3, sys
table = sqlite3.connect(f"{os.environ['AIRFLOW_HOME']}/airflow.db", timeout=30)
fields = json.loads(sys.argv[1]) | {"is_encrypted": False, "is_extra_encrypted": False}
names = ", ".join(f'"{name}"' for name in fields)
marks = ", ".join("?" for _ in fields)
table.execute(f"INSERT OR REPLACE INTO connection ({names}) VALUES ({marks})", list(fields.values()))
table.commit()
"#;

// A DAG is what another one is, under its own name: nobody has to know all columns of both generations.
const DAG: &str = r#"
import os, sqlite3, sys
dag, description, paused = sys.argv[1:]
table = sqlite3.connect(f"{os.environ['AIRFLOW_HOME']}/airflow.db", timeout=30)
table.execute("CREATE TEMPORARY TABLE copy AS SELECT * FROM dag WHERE dag_id = 'daily_test_project_main'")
table.execute("UPDATE copy SET dag_id = ?, description = ?, is_paused = ?", (dag, description, paused == "true"))
table.execute("INSERT OR REPLACE INTO dag SELECT * FROM copy")
table.execute("INSERT OR REPLACE INTO dag_tag (name, dag_id) VALUES ('api_operator_dbt', ?)", (dag,))
table.commit()
"#;

/// The stored password of a connection.
///
/// # Panics
///
/// When the database cannot be read.
pub async fn password(server: &Server, id: &str) -> Option<String> {
    serde_json::from_str(&server.python(PASSWORD, &[id]).await).unwrap()
}

/// Makes or replaces a connection, by the names of its columns.
///
/// # Panics
///
/// When the database cannot be written.
pub async fn set_connection(server: &Server, fields: &Value) {
    server.python(CONNECTION, &[&fields.to_string()]).await;
}

/// Makes or replaces a DAG with the tag of those that use our servers.
///
/// # Panics
///
/// When the database cannot be written.
pub async fn set_dag(server: &Server, id: &str, description: &str, paused: bool) {
    server.python(DAG, &[id, description, if paused { "true" } else { "false" }]).await;
}

/// A connection as it is stored, all columns of it, encrypted ones as they are.
///
/// # Panics
///
/// When the database cannot be read.
pub async fn row(server: &Server, id: &str) -> Option<Value> {
    serde_json::from_str(&server.python(ROW, &[id]).await).unwrap()
}

/// Reads connections as often as wanted, which costs Airflow nothing, and no process each time.
#[derive(Debug)]
pub struct Reader {
    conversation: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    _process: Child,
}

impl Reader {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// When there is no such server.
    #[must_use]
    pub fn start(server: &Server) -> Self {
        let mut command = server.script("python");
        let mut process = command.arg("-c").arg(READER).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { conversation: Mutex::new((input, BufReader::new(output).lines())), _process: process }
    }

    /// The connections whose ids have this text in them: all columns, the password as it was given.
    ///
    /// # Panics
    ///
    /// When the database cannot be read.
    pub async fn connections(&self, part: &str) -> Vec<Value> {
        let mut conversation = self.conversation.lock().await;
        let (input, output) = &mut *conversation;
        input.write_all(format!("{part}\n").as_bytes()).await.unwrap();
        let answer = output.next_line().await.unwrap().unwrap_or_else(|| panic!("Airflow's tables cannot be read"));
        serde_json::from_str(&answer).unwrap()
    }
}
