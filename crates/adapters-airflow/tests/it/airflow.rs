//! A server that plays Airflow 2 or 3, as far as the adapter can see.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use crate::stub::{Play, Seen, Stub};

pub(crate) const USER: &str = "admin";
pub(crate) const PASSWORD: &str = "canary:\"p%é";

/// What there is in Airflow.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// 2 or 3.
    pub(crate) generation: u8,
    pub(crate) connections: BTreeMap<String, Map<String, Value>>,
    /// Description and whether it is paused, by id.
    pub(crate) dags: BTreeMap<String, (String, bool)>,
    pub(crate) refuse_login: bool,
    pub(crate) role_too_low: bool,
    /// How long a token says that it lives.
    pub(crate) token_life: u64,
    pub(crate) tokens: HashSet<String>,
    pub(crate) tokens_given: usize,
    /// What is done instead of an answer, after the work (`true`) or before it, by method and path; once each.
    pub(crate) instead: HashMap<String, (bool, Play)>,
    /// What is done instead of every answer to this method and path.
    pub(crate) stuck: Option<(String, Play)>,
    /// What is done instead of every answer.
    pub(crate) always: Option<Play>,
}

/// A server that plays Airflow.
pub(crate) struct Airflow {
    pub(crate) stub: Stub,
    state: Arc<Mutex<State>>,
}

impl Airflow {
    pub(crate) async fn start(generation: u8) -> Self {
        let state = Arc::new(Mutex::new(State { generation, token_life: 86_400, ..State::default() }));
        let stub = Stub::start({
            let state = Arc::clone(&state);
            move |seen| state.lock().unwrap().play(seen)
        });
        Self { stub: stub.await, state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Once, at this call, does this instead of an answer: after the work was done, or without doing it.
    pub(crate) fn instead(&self, line: &str, done: bool, play: Play) {
        self.state().instead.insert(line.to_owned(), (done, play));
    }
}

impl State {
    fn play(&mut self, seen: &Seen) -> Play {
        if let Some(play) = &self.always {
            return play.clone();
        }
        if let Some((line, play)) = &self.stuck
            && *line == seen.line()
        {
            return play.clone();
        }
        match self.instead.remove(&seen.line()) {
            Some((true, play)) => {
                self.answer(seen);
                play
            }
            Some((false, play)) => play,
            None => self.answer(seen),
        }
    }

    fn answer(&mut self, seen: &Seen) -> Play {
        let segments: Vec<_> = seen.path().trim_start_matches('/').split('/').collect();
        match (self.generation, segments.as_slice()) {
            (2, ["api", "v1", "version"]) => Play::json(200, json!({ "version": "2.11.2", "git_version": "" })),
            (3, ["api", "v2", "version"]) => Play::json(200, json!({ "version": "3.3.2", "git_version": "x" })),
            (3, ["auth", "token"]) => self.log_in(seen),
            (2, ["api", "v1", rest @ ..]) | (3, ["api", "v2", rest @ ..]) => match self.refusal(seen) {
                Some(refusal) => refusal,
                None => self.resource(seen, rest),
            },
            (3, ["api", "v1", ..]) => Play::json(404, json!({ "error": "/api/v1 has been removed in Airflow 3" })),
            _ => Play::html(404),
        }
    }

    fn log_in(&mut self, seen: &Seen) -> Play {
        let body: Value = serde_json::from_str(&seen.body).unwrap();
        if self.refuse_login || body != json!({ "username": USER, "password": PASSWORD }) {
            return Play::json(401, json!({ "detail": "Invalid credentials" }));
        }
        self.tokens_given += 1;
        let claims = format!(r#"{{"iat": 1000, "exp": {}, "n": {}}}"#, 1000 + self.token_life, self.tokens_given);
        let token = format!("e30.{}.canary", URL_SAFE_NO_PAD.encode(claims));
        self.tokens.insert(token.clone());
        Play::json(201, json!({ "access_token": token }))
    }

    fn refusal(&self, seen: &Seen) -> Option<Play> {
        let login = seen.headers.get("authorization").map(String::as_str).unwrap_or_default();
        if self.generation == 2 {
            let wanted = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
            let is_dags = seen.path().ends_with("/dags");
            let refused = self.refuse_login || login != wanted || (self.role_too_low && !is_dags);
            return refused.then(|| Play::json(403, json!({ "detail": null, "title": "Forbidden" })));
        }
        let known = login.strip_prefix("Bearer ").is_some_and(|token| self.tokens.contains(token));
        if self.refuse_login || !known {
            return Some(Play::json(403, json!({ "detail": "Invalid JWT token" })));
        }
        (self.role_too_low && !seen.path().ends_with("/dags")).then(|| Play::json(403, json!({ "detail": "Forbidden" })))
    }

    fn resource(&mut self, seen: &Seen, rest: &[&str]) -> Play {
        match (seen.method.as_str(), rest) {
            ("GET", ["connections"]) => self.list(seen, "connections"),
            ("GET", ["dags"]) => self.list(seen, "dags"),
            ("POST", ["connections"]) => self.create(seen),
            ("GET", ["connections", id]) => {
                self.connections.get(*id).map_or_else(|| absent(id), |found| Play::json(200, self.shown(found)))
            }
            ("PATCH", ["connections", id]) => self.change(seen, id),
            ("DELETE", ["connections", _]) if self.generation == 2 && seen.headers.contains_key("content-type") => Play::html(400),
            ("DELETE", ["connections", id]) => match self.connections.remove(*id) {
                Some(_) => Play::Answer(204, Vec::new(), "text/plain", String::new()),
                None => absent(id),
            },
            _ => Play::json(405, json!({ "detail": "Method Not Allowed" })),
        }
    }

    fn create(&mut self, seen: &Seen) -> Play {
        let body = object(seen);
        let id = body["connection_id"].as_str().unwrap().to_owned();
        if self.connections.contains_key(&id) {
            return Play::json(409, json!({ "detail": { "reason": "Unique constraint violation" } }));
        }
        let shown = self.shown(&body);
        self.connections.insert(id, body);
        Play::json(if self.generation == 2 { 200 } else { 201 }, shown)
    }

    fn change(&mut self, seen: &Seen, id: &str) -> Play {
        let body = object(seen);
        let Some(mut stored) = self.connections.get(id).cloned() else { return absent(id) };
        assert_eq!(body["connection_id"], id);
        for (field, value) in body {
            let keeps = field == "password" && (value == "" || (self.generation == 3 && value == "***"));
            if !keeps {
                stored.insert(field, value);
            }
        }
        let shown = self.shown(&stored);
        self.connections.insert(id.to_owned(), stored);
        Play::json(200, shown)
    }

    fn list(&self, seen: &Seen, what: &str) -> Play {
        let query: HashMap<_, _> = seen.target.split_once('?').unwrap().1.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let number = |name: &str| query[name].parse::<usize>().unwrap();
        let entries: Vec<Value> = if what == "dags" {
            assert_eq!((query["tags"], query["order_by"]), ("api_operator_dbt", "dag_id"));
            self.dags.iter().map(|(id, (text, paused))| json!({ "dag_id": id, "description": text, "is_paused": paused })).collect()
        } else {
            assert_eq!(query["order_by"], "connection_id");
            self.connections.values().map(|stored| self.shown(stored)).collect()
        };
        let total = entries.len();
        let page: Vec<_> = entries.into_iter().skip(number("offset")).take(number("limit").min(100)).collect();
        Play::json(200, json!({ what: page, "total_entries": total }))
    }

    /// As an answer shows it: without its password.
    fn shown(&self, stored: &Map<String, Value>) -> Value {
        let mut shown = stored.clone();
        shown.remove("password");
        if self.generation == 3 {
            shown.insert("password".to_owned(), json!("***"));
            if shown.get("extra") == Some(&json!("")) {
                shown.insert("extra".to_owned(), json!("{}"));
            }
        }
        Value::Object(shown)
    }
}

fn object(seen: &Seen) -> Map<String, Value> {
    serde_json::from_str(&seen.body).unwrap()
}

fn absent(id: &str) -> Play {
    Play::json(404, json!({ "detail": format!("The Connection with connection_id: `{id}` was not found") }))
}
