//! Puts measured text between the markers of a page of documentation.

use std::fs;

use anyhow::Context as _;

use crate::project;

/// Replaces what stands between `<!-- <name>: begin -->` and `<!-- <name>: end -->` on a page of `docs`.
pub(crate) fn write(page: &str, name: &str, text: &str) -> anyhow::Result<()> {
    let path = project::root().join("docs").join(page);
    let page = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let page = replaced(&page, name, text).with_context(|| format!("{} has no markers for `{name}`", path.display()))?;
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))
}

fn replaced(page: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n{end}{after}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let page = "# Page\n<!-- a: begin -->\nold\n<!-- a: end -->\n<!-- b: begin -->\nkept\n<!-- b: end -->\n";
        let expected = "# Page\n<!-- a: begin -->\nnew\n<!-- a: end -->\n<!-- b: begin -->\nkept\n<!-- b: end -->\n";
        assert_eq!(replaced(page, "a", "new\n").as_deref(), Some(expected));
        assert_eq!(replaced(page, "c", "new"), None);
    }
}
