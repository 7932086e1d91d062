//! Writes the rules of the field table into the schema of the body.

use schemars::Schema;
use serde_json::{Map, Value, json};

use super::fields::{self, Boolean, Field, Integer, PROJECT_NAME, Text, Word};

/// The smallest body that says what most callers say.
pub(super) fn example() -> Value {
    json!({ "project_name": "test-project", "git_branch": "main" })
}

/// Adds limits, patterns, words and defaults to the properties that were derived from the struct's types.
pub(super) fn add_rules(schema: &mut Schema) {
    schema.insert("required".to_owned(), json!([PROJECT_NAME.name]));
    let Some(Value::Object(properties)) = schema.get_mut("properties") else {
        return;
    };
    for field in fields::ALL {
        if let Some(Value::Object(property)) = properties.get_mut(field.name()) {
            field.describe(property);
        }
    }
    if let Some(Value::Object(property)) = properties.get_mut(PROJECT_NAME.name) {
        property.insert("type".to_owned(), json!("string"));
    }
}

impl Field {
    fn describe(self, property: &mut Map<String, Value>) {
        let mut add = |keyword: &str, value: Value| {
            property.insert(keyword.to_owned(), value);
        };
        match self {
            Self::Text(text) => text.describe(&mut add),
            Self::Word(word) => word.describe(&mut add),
            Self::Integer(Integer { name: _, min, max, default }) => {
                add("minimum", json!(min));
                add("maximum", json!(max));
                add("default", json!(default));
            }
            Self::Boolean(Boolean { name: _ }) => add("default", json!(false)),
        }
    }
}

impl Text {
    fn describe(&self, add: &mut impl FnMut(&str, Value)) {
        let Self { name: _, min, max, form, max_reason: _, default, reserved } = self;
        add("minLength", json!(min));
        add("maxLength", json!(max));
        add("pattern", json!(form.pattern));
        if let Some(default) = default {
            add("default", json!(default));
        }
        if !reserved.is_empty() {
            add("not", json!({ "enum": reserved }));
        }
    }
}

impl Word {
    fn describe(&self, add: &mut impl FnMut(&str, Value)) {
        let Self { name: _, words, may_be_empty, default } = self;
        let empty = may_be_empty.then(|| json!(""));
        let words = words().into_iter().map(Value::from);
        // An `enum` allows what it lists and nothing else, so `null` must be in it.
        let all: Vec<_> = empty.into_iter().chain(words).chain([Value::Null]).collect();
        add("enum", Value::Array(all));
        if let Some(default) = default {
            add("default", json!(default));
        }
    }
}
