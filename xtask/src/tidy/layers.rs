//! A module uses only modules of a lower rank; equal ranks don't see each other.

use std::collections::HashMap;

use super::Finding;
use crate::source::{SourceFile, block, code_of, line_at};

/// The folders that the modules lie in: of the crate without I/O, of the one with it, and of the
/// driver.
const FOLDERS: [&str; 3] = ["core/src/", "client/src/", "src/"];

/// The rank of each module of [`FOLDERS`].
const RANKS: [(&str, u32); 18] = [
    ("error", 0),
    ("buffer", 1),
    ("wire", 2),
    ("protocol", 3),
    ("types", 3),
    ("transport", 3),
    ("config", 3),
    ("codec", 4),
    ("startup", 4),
    ("tls", 4),
    ("row", 5),
    ("params", 5),
    ("statement", 6),
    ("connection", 7),
    ("pool", 8),
    ("replication", 8),
    ("blocking", 9),
    ("internals", 10),
];

/// The path inside of the folder of its crate.
fn inside(path: &str) -> Option<&str> {
    FOLDERS.iter().find_map(|folder| path.strip_prefix(folder))
}

/// The top-level module that a path of the project belongs to; none outside of [`FOLDERS`] and
/// in a crate's root.
pub(super) fn module_of(path: &str) -> Option<&str> {
    let rest = inside(path)?;
    let module = match rest.split_once('/') {
        Some((module, _)) => module,
        None => rest.strip_suffix(".rs")?,
    };
    (module != "lib").then_some(module)
}

/// Finds upward and sideways edges, and modules without a rank.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let exports = files
        .iter()
        .find(|file| file.path == "src/lib.rs")
        .map(|file| exports_of(&code_of(&file.text)))
        .unwrap_or_default();
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let Some(module) = module_of(&file.path) else {
            continue;
        };
        let Some(rank) = rank_of(module) else {
            let text = format!("the module `{module}` has no rank in the table of layers");
            findings.push(Finding::new(&file.path, 1, text));
            continue;
        };
        let code = code_of(&file.text);
        for (line, name) in used_names(&file.path, &code) {
            let used = exports.get(&name).unwrap_or(&name);
            match rank_of(used) {
                Some(_) if used == module => {}
                Some(used_rank) if used_rank < rank => {}
                Some(used_rank) => findings.push(Finding::new(
                    &file.path,
                    line,
                    format!(
                        "`{module}` (rank {rank}) uses `{used}` (rank {used_rank}); only lower \
                         ranks may be used"
                    ),
                )),
                None => findings.push(Finding::new(
                    &file.path,
                    line,
                    format!("`crate::{name}` belongs to no module of the table of layers"),
                )),
            }
        }
    }
    findings
}

fn rank_of(module: &str) -> Option<u32> {
    RANKS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, rank)| *rank)
}

/// The names in the crate's root that `code` uses: the first part of each path that begins
/// with `crate::`, or with as many `super::` as lead there from the file at `path`.
fn used_names(path: &str, code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let root = "crate::";
    for (at, _) in code.match_indices(root) {
        if is_word_before(code, at) {
            continue;
        }
        for name in heads(&code[at + root.len()..]) {
            found.push((line_at(code, at), name));
        }
    }
    // Modules inside the file add a level that this does not see, so that a path out of one
    // is taken for one that leads further up than it does: `module_depth` corrects for that.
    let up = "super::";
    let mut at = 0;
    while let Some(offset) = code[at..].find(up) {
        let start = at + offset;
        let mut end = start;
        let mut levels = 0;
        while code[end..].starts_with(up) {
            levels += 1;
            end += up.len();
        }
        at = end;
        if is_word_before(code, start) {
            continue;
        }
        if levels >= depth_of(path) + inner_depth(code, start) {
            for name in heads(&code[end..]) {
                found.push((line_at(code, start), name));
            }
        }
    }
    found
}

/// How many `super` lead from the file's own module to the crate's root.
fn depth_of(path: &str) -> usize {
    let inside = inside(path).unwrap_or(path);
    let parts = inside.split('/').count();
    if inside.ends_with("/mod.rs") {
        parts - 1
    } else {
        parts
    }
}

/// How many modules written out in the file lie around byte `at`.
fn inner_depth(code: &str, at: usize) -> usize {
    code.match_indices("mod ")
        .filter(|(start, _)| *start < at && !is_word_before(code, *start))
        .filter(|(start, _)| match code[*start..].find(['{', ';']) {
            Some(open) if code[start + open..].starts_with('{') => {
                let open = start + open;
                (open..open + block(&code[open..])).contains(&at)
            }
            _ => false,
        })
        .count()
}

/// The first names of the path or `{group}` that `rest` begins with.
fn heads(rest: &str) -> Vec<String> {
    let group = if rest.starts_with('{') {
        &rest[1..block(rest) - 1]
    } else {
        return name_at(rest).into_iter().collect();
    };
    let mut depth = 0;
    let mut names = Vec::new();
    for part in group.split_inclusive(['{', '}', ',']) {
        if depth == 0 {
            names.extend(name_at(part.trim_start()));
        }
        match part.chars().next_back() {
            Some('{') => depth += 1,
            Some('}') => depth -= 1,
            _ => {}
        }
    }
    names
}

fn name_at(text: &str) -> Option<String> {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    // `crate::*` has no name and is refused by not being one of the table.
    let name = if text.starts_with('*') {
        "*"
    } else {
        &text[..end]
    };
    (!name.is_empty()).then(|| name.to_owned())
}

fn is_word_before(code: &str, at: usize) -> bool {
    code[..at]
        .chars()
        .next_back()
        .is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
}

/// Which module each name that the root exports comes from: `pub use self::a::b::{C, D as E}`.
fn exports_of(code: &str) -> HashMap<String, String> {
    let mut exports = HashMap::new();
    for (at, mark) in code.match_indices("use self::") {
        let rest = &code[at + mark.len()..];
        let statement = &rest[..rest.find(';').unwrap_or(rest.len())];
        let Some(module) = name_at(statement) else {
            continue;
        };
        let tail = &statement[module.len()..];
        for part in tail.split(['{', '}', ',']) {
            // The last word of each part is the name that it ends up with.
            let name = part
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .rfind(|word| !word.is_empty());
            if let Some(name) = name {
                exports.insert(name.to_owned(), module.clone());
            }
        }
    }
    exports
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<SourceFile> = files
            .iter()
            .map(|(path, text)| SourceFile {
                path: (*path).to_owned(),
                text: (*text).to_owned(),
            })
            .collect();
        check(&files)
            .into_iter()
            .map(|finding| format!("{}:{}", finding.path, finding.line))
            .collect()
    }

    #[test]
    fn lower_ranks_may_be_used() {
        for text in [
            "use crate::wire::Tag;",
            "use crate::{buffer::{ReadBuffer, WriteBuffer}, wire};",
            "fn f() -> crate::error::Error {}",
            "use super::other; mod a { use super::super::b; }",
            "// use crate::pool::Pool;",
            "const A: &str = \"crate::pool\";",
        ] {
            assert!(
                faults(&[("core/src/protocol/core.rs", text)]).is_empty(),
                "{text}"
            );
        }
    }

    #[test]
    fn upward_and_sideways_edges_are_found() {
        for text in [
            "use crate::connection::Connection;",
            "use crate::types::Type;",
            "use crate::{\n    buffer,\n    codec::Encode,\n};",
            "use crate::{buffer::{self, a}, row};",
            "fn f() { crate::statement::g() }",
            "use super::super::codec::Encode;",
            "mod a { use super::super::super::codec::Encode; }",
            "use crate::nothing;",
            "macro_rules! a { () => { $crate::row::Row } }",
            "use crate::*;",
        ] {
            assert_eq!(
                faults(&[("core/src/protocol/core.rs", text)]).len(),
                1,
                "{text}"
            );
        }
        assert_eq!(
            faults(&[("core/src/params.rs", "use super::connection;")]).len(),
            1
        );
        assert_eq!(
            faults(&[("core/src/row/mod.rs", "use super::connection;")]).len(),
            1
        );
        assert_eq!(faults(&[("src/unheard/of.rs", "")]).len(), 1);
    }

    #[test]
    fn names_of_the_root_count_as_their_modules() {
        let root = (
            "src/lib.rs",
            "pub use self::error::{Error, Result};\npub use self::pool::guard::Guard as Pooled;",
        );
        assert!(
            faults(&[
                root,
                ("core/src/wire/mod.rs", "use crate::{Error, Result};")
            ])
            .is_empty()
        );
        let upward = faults(&[root, ("core/src/wire/mod.rs", "\nuse crate::Pooled;")]);
        assert_eq!(upward, ["core/src/wire/mod.rs:2"]);
    }

    #[test]
    fn paths_lead_up_by_depth() {
        for (path, depth) in [
            ("core/src/params.rs", 1),
            ("core/src/row/mod.rs", 1),
            ("core/src/row/plan.rs", 2),
            ("core/src/codec/ext/mod.rs", 2),
            ("core/src/codec/ext/uuid_1.rs", 3),
        ] {
            assert_eq!(depth_of(path), depth, "{path}");
        }
    }
}
