//! The settings as text, for `--help`.

use std::fmt::Write as _;

use super::table::{Setting, TABLE};

/// All settings with their defaults, as a section of the command line's help.
pub(crate) fn help() -> String {
    let mut text = "Settings (environment, or the file of CONFIG_FILE):\n".to_owned();
    for setting in TABLE {
        // Writing to a String cannot fail.
        let _ = write!(text, "  {}{}\n{}", setting.name, shown_default(setting, "", "  "), wrapped(setting.doc));
    }
    let secrets: Vec<_> = TABLE.iter().filter(|setting| setting.is_secret()).map(|setting| format!("{}_FILE", setting.name)).collect();
    let _ = writeln!(text, "\n{} name files with these values instead.", secrets.join(", "));
    text.push_str("Times are written 30m, 1h, 25s or 250ms; a number without a unit counts seconds.\n");
    text
}

/// The table of the README, between its markers.
#[cfg(test)]
pub(super) fn markdown() -> String {
    let mut text = "| Setting | Default | Meaning |\n| --- | --- | --- |\n".to_owned();
    for setting in TABLE {
        let doc = setting.doc.replace('|', "\\|");
        let _ = writeln!(text, "| `{}` |{} | {doc} |", setting.name, shown_default(setting, "`", " "));
    }
    text
}

/// The default in these quotes after this lead; nothing where there is none.
fn shown_default(setting: &Setting, quote: &str, lead: &str) -> String {
    let default = setting.default.map(|default| format!("{quote}{default}{quote}"));
    let embedded = setting.embedded.map(|default| format!("{quote}{default}{quote} with {quote}--embedded{quote}"));
    let parts: Vec<_> = default.into_iter().chain(embedded).collect();
    if parts.is_empty() { String::new() } else { format!("{lead}{}", parts.join("; ")) }
}

/// The doc in lines of a terminal, without the marks of markdown.
fn wrapped(doc: &str) -> String {
    const INDENT: &str = "          ";
    const WIDTH: usize = 110;
    let mut lines = String::from(INDENT);
    let mut column = INDENT.len();
    for word in doc.replace('`', "").split(' ') {
        if column + word.chars().count() >= WIDTH {
            lines.push('\n');
            lines.push_str(INDENT);
            column = INDENT.len();
        }
        if column > INDENT.len() {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += word.chars().count();
    }
    lines.push('\n');
    lines
}
