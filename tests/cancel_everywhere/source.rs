//! The public async functions of the driver, as its source has them.

use std::fs;
use std::path::{Path, PathBuf};

/// `Type::function` for each `pub async fn`, and each `pub fn` that returns `impl Future`,
/// below these folders of `src`.
pub(crate) fn async_functions(folders: &[&str]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("client/src");
    let mut files = Vec::new();
    for folder in folders {
        find_files(&root.join(folder), &mut files);
    }
    let mut functions: Vec<String> = files
        .iter()
        .flat_map(|file| functions_of(&fs::read_to_string(file).unwrap()))
        .collect();
    functions.sort();
    functions.dedup();
    functions
}

fn find_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The functions of one file, which is formatted as rustfmt does it.
fn functions_of(source: &str) -> Vec<String> {
    let mut functions = Vec::new();
    let mut owner = String::new();
    let lines: Vec<&str> = source.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        if line.starts_with("impl") {
            owner = owner_of(line);
        }
        let is_method = line.starts_with("    pub ") && !line.starts_with("     ");
        if !is_method && !line.starts_with("pub ") {
            continue;
        }
        let Some((before, after)) = line.split_once("fn ") else {
            continue;
        };
        let name: String = after
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        // The signature goes on to the line that opens its body.
        let end = lines[index..]
            .iter()
            .position(|line| line.ends_with('{') || line.ends_with(';'));
        let signature = lines[index..=index + end.unwrap_or(0)].join(" ");
        let returned = signature
            .split_once("->")
            .map_or("", |(_, returned)| returned);
        let is_async = before.contains("async")
            || returned.trim_start().starts_with("impl Future")
            || returned.contains("impl std::future::Future");
        if is_async {
            functions.push(if is_method {
                format!("{owner}::{name}")
            } else {
                name
            });
        }
    }
    functions
}

/// The type of `impl<…> Type<…> {`.
fn owner_of(line: &str) -> String {
    let mut rest = line.trim_start_matches("impl");
    if rest.starts_with('<') {
        let mut depth = 0;
        let end = rest.char_indices().find(|(index, c)| {
            depth += match c {
                '<' => 1,
                // The arrow of a closure's type is none of the brackets.
                '>' if !rest[..*index].ends_with('-') => -1,
                _ => 0,
            };
            depth == 0
        });
        rest = end.map_or("", |(index, _)| &rest[index + 1..]);
    }
    let name = rest.trim_start().chars();
    name.take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

#[test]
fn functions_are_found() {
    let source = "impl<'c, T: for<'r> FromRow<'r>> RowStream<'c, T> {\n    pub async fn next(&mut self) {\n    }\n    \
                  pub(crate) async fn not(&self) {\n    }\n    pub fn sync(&self) {\n    }\n    async fn neither() {\n    }\n    \
                  pub fn many<I>(\n        &self,\n    ) -> impl Future<Output = ()> + Send\n    where\n        I: Fn() -> u8,\n    {\n    }\n}\n\
                  pub async fn free() {\n}\n";
    assert_eq!(
        functions_of(source),
        ["RowStream::next", "RowStream::many", "free"]
    );
}
