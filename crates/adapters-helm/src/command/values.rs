//! Values as helm reads them.

use std::fmt::Write as _;

use serde_json::Value;

/// JSON, which is YAML but for some characters that Go's reader of YAML takes for line breaks, or refuses. Those are written as escapes,
/// as the chart's template does it on the way out.
pub(super) fn text(values: &Value) -> String {
    let json = values.to_string();
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                // Writing to a String cannot fail. In JSON these stand in texts only.
                let _ = write!(text, "\\u{:04x}", u32::from(character));
            }
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_read_is_what_was_meant_and_no_line_breaks_in_a_text() {
        let values = json!({ "a": "x\u{85}y\u{2028}z\u{feff}\u{ffff}\u{7f}", "b": ["päß", "😀", "\t\"\\\n"], "c": 8080 });
        let text = text(&values);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), values);
        assert!(text.contains(r"x\u0085y\u2028z\ufeff\uffff\u007f"), "{text}");
        assert!(text.contains("päß") && text.contains('😀') && !text.contains('\n'), "{text}");
    }
}
