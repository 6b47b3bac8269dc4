//! What each `Cargo.toml` must say.

use super::Finding;
use crate::source::SourceFile;

/// Finds features and dependencies that no comment explains, and crates that may hold
/// unsafe code.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    files
        .iter()
        .filter(|file| file.path == "Cargo.toml" || file.path.ends_with("/Cargo.toml"))
        .flat_map(check_manifest)
        .collect()
}

fn check_manifest(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut section = "";
    let mut explained = false;
    let mut in_list = false;
    let mut forbids_unsafe = false;
    for (index, line) in file.text.lines().enumerate() {
        let line = line.trim();
        let mut report = |text: String| findings.push(Finding::new(&file.path, index + 1, text));
        if in_list {
            in_list = !line.starts_with(']');
        } else if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            explained = false;
        } else if line.starts_with('#') {
            explained = true;
        } else if line.is_empty() {
            explained = false;
        } else {
            let name = line.split('=').next().unwrap_or_default().trim();
            let is_dependency = section.ends_with("dependencies");
            // A crate of the project explains itself.
            let is_own = is_dependency && line.replace(' ', "").contains("{path=\"");
            if (section == "features" || is_dependency) && !explained && !is_own {
                let what = if is_dependency {
                    "dependency"
                } else {
                    "feature"
                };
                report(format!("no comment says what the {what} `{name}` is for"));
            }
            // A comment may stand for a few dependencies in a row; each feature has its own.
            explained &= is_dependency;
            in_list = line.ends_with('[');
            let inherits = section == "lints" && line.replace(' ', "") == "workspace=true";
            let forbids = section.ends_with("lints.rust")
                && line.replace(' ', "").starts_with("unsafe_code=\"forbid\"");
            forbids_unsafe |= inherits || forbids;
        }
    }
    if !forbids_unsafe {
        let text = "the crate's lints don't forbid unsafe code";
        findings.push(Finding::new(&file.path, 1, text));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_lines(text: &str, lines: &[usize]) {
        let file = SourceFile {
            path: "Cargo.toml".to_owned(),
            text: format!("{text}\n[lints]\nworkspace = true\n"),
        };
        let found: Vec<usize> = check(&[file]).iter().map(|finding| finding.line).collect();
        assert_eq!(found, lines, "{text}");
    }

    #[test]
    fn features_and_dependencies_are_explained() {
        check_lines("[features]\n# Why.\na = []\n# Why.\nb = []", &[]);
        check_lines("[features]\n# Why.\na = []\nb = []", &[4]);
        check_lines("[features]\n# Why.\na = [\n  \"b\",\n]\nc = []", &[6]);
        check_lines(
            "[dependencies]\n# Why.\na = \"1\"\nb = \"1\"\n\nc = \"1\"",
            &[6],
        );
        check_lines("[dev-dependencies]\na = \"1\"", &[2]);
        check_lines("[dependencies]\na = { path = \"..\" }", &[]);
        check_lines("[package]\nname = \"a\"", &[]);
    }

    #[test]
    fn unsafe_code_is_forbidden_everywhere() {
        let manifest = |text: &str| SourceFile {
            path: "fuzz/Cargo.toml".to_owned(),
            text: text.to_owned(),
        };
        assert_eq!(check(&[manifest("[package]\n")]).len(), 1);
        assert_eq!(
            check(&[manifest("[lints.rust]\nunsafe_code = \"warn\"\n")]).len(),
            1
        );
        assert!(check(&[manifest("[lints.rust]\nunsafe_code = \"forbid\"\n")]).is_empty());
        assert!(
            check(&[manifest(
                "[workspace.lints.rust]\nunsafe_code = \"forbid\"\n"
            )])
            .is_empty()
        );
    }
}
