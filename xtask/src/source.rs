//! Reading the project's Rust source as far as its checks need it.

use std::fs;
use std::path::Path;
use std::process::Command;

use xtask::process::run;
use xtask::{Context, Result, project_root};

/// A file of the project, by its path from the root, with `/` between its parts.
pub(crate) struct SourceFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    /// Every text file that belongs to the project: what git knows or would add.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let root = project_root();
        let mut files = Vec::new();
        for path in project_files(&root)? {
            let Ok(text) = fs::read_to_string(root.join(&path)) else {
                // Not text, or removed and not yet committed.
                continue;
            };
            files.push(Self { path, text });
        }
        Ok(files)
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// The paths of the files under `root` that git knows or would add.
pub(crate) fn project_files(root: &Path) -> Result<Vec<String>> {
    let list = run(Command::new("git").current_dir(root).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ]))
    .context("listing the project's files")?;
    let mut paths: Vec<String> = list
        .split('\0')
        .filter(|path| !path.is_empty() && root.join(path).is_file())
        .map(str::to_owned)
        .collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// The code in `text`: comments and the insides of literals are blanked out, lines stay
/// where they are.
pub(crate) fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after_word = code
            .chars()
            .next_back()
            .is_some_and(|c| c.is_alphanumeric() || c == '_');
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if first == '"' {
            quoted(rest, '"')
        } else if !after_word && starts_raw_string(rest) {
            raw_string(rest)
        } else if first == '\'' && is_character(rest) {
            quoted(rest, '\'')
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        let (blanked, left) = rest.split_at(length);
        code.extend(blanked.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = left;
    }
    code
}

/// `code` without its modules that only tests see.
pub(crate) fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        // The item that the attribute belongs to ends with its block, or with a semicolon
        // where it has none.
        let length = match from.find(['{', ';']) {
            Some(end) if from[end..].starts_with('{') => end + block(&from[end..]),
            Some(end) => end + 1,
            None => from.len(),
        };
        out.extend(from[..length].chars().filter(|&c| c == '\n'));
        rest = &from[length..];
    }
    out.push_str(rest);
    out
}

/// The words (identifiers and keywords) of `code`, with the numbers of their lines.
pub(crate) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.lines().enumerate().flat_map(|(index, line)| {
        line.split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .map(move |word| (index + 1, word))
    })
}

/// The number of the line at byte `at`.
pub(crate) fn line_at(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The length of the `{…}` that `code` begins with.
pub(crate) fn block(code: &str) -> usize {
    let mut depth = 0_usize;
    for (index, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return index + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return index + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

fn starts_raw_string(text: &str) -> bool {
    let rest = text.strip_prefix(['b', 'c']).unwrap_or(text);
    rest.strip_prefix('r')
        .is_some_and(|rest| rest.trim_start_matches('#').starts_with('"'))
}

fn raw_string(text: &str) -> usize {
    let open = text.find('"').unwrap_or(0);
    let hashes = text[..open].matches('#').count();
    let close = format!("\"{}", "#".repeat(hashes));
    match text[open + 1..].find(&close) {
        Some(at) => open + 1 + at + close.len(),
        None => text.len(),
    }
}

/// Whether the apostrophe that `text` begins with opens a character and not a lifetime.
fn is_character(text: &str) -> bool {
    let mut rest = text.chars().skip(1);
    match rest.next() {
        Some('\\') => true,
        Some(_) => rest.next() == Some('\''),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, code: &str) {
        let got = code_of(text);
        assert_eq!(got.chars().count(), text.chars().count());
        let words: Vec<&str> = got.split_whitespace().collect();
        assert_eq!(words.join(" "), code, "{text}");
    }

    #[test]
    fn comments_and_literals_are_blanked() {
        check("a // b\nc", "a c");
        check("a /* b /* c */ d */ e", "a e");
        check(r#"f("g \" h") i"#, "f( ) i");
        check(r###"f(r#"g " h"#) i"###, "f( ) i");
        check(r#"f(br"g\", h)"#, "f( , h)");
        check("'a' 'b 'c' '\\'' d", "'b d");
        check(
            "fn f<'a>(x: &'a str) -> char { 'x' }",
            "fn f<'a>(x: &'a str) -> char { }",
        );
        check("// \"\nuse a;", "use a;");
        check("bar\"x\"", "bar");
        check("é // ü\nö", "é ö");
    }

    #[test]
    fn test_modules_are_left_out() {
        let code = "a;\n#[cfg(test)]\nmod tests {\n fn b() { {} }\n}\nc;\n#[cfg(test)]\nuse d;\ne;";
        let rest = without_tests(code);
        assert_eq!(rest.lines().count(), code.lines().count());
        assert_eq!(
            rest.split_whitespace().collect::<Vec<_>>(),
            ["a;", "c;", "e;"]
        );
    }

    #[test]
    fn words_know_their_lines() {
        let found: Vec<_> = words("a b_c\n  d::e").collect();
        assert_eq!(found, [(1, "a"), (1, "b_c"), (2, "d"), (2, "e")]);
    }
}
