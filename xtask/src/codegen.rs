//! `cargo xtask codegen`: the source that is generated, which is `core/src/error/conditions.rs`,
//! the SQLSTATE conditions of the server's own list.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use xtask::server::{Binaries, MAJORS, Server};
use xtask::{Context, Failure, Result, project_root};

/// Conditions that later minors have added: the lists of the servers here may lack them.
const NEWER: [&str; 1] = ["22P07"];

/// Writes the generated files; with `--check`, compares them instead.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let check = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => return Err(Failure::new("codegen knows only --check")),
    };
    let mut conditions = Conditions::default();
    for major in MAJORS {
        let path = list_of(major)?;
        let text = fs::read_to_string(&path).context(format_args!("reading {}", path.display()))?;
        conditions.add(&text)?;
    }
    let path = project_root().join("core/src/error/conditions.rs");
    let text = conditions.render();
    if check {
        let found = fs::read_to_string(&path).unwrap_or_default();
        let is_newer = |line: &str| {
            NEWER
                .iter()
                .any(|code| line.contains(code) && !text.contains(code))
        };
        if !found
            .lines()
            .filter(|line| !is_newer(line))
            .eq(text.lines())
        {
            return Err(Failure::new(
                "core/src/error/conditions.rs is not what the servers' lists make: run `cargo xtask \
                 codegen`",
            ));
        }
        println!("core/src/error/conditions.rs is current");
    } else {
        fs::write(&path, text).context(format_args!("writing {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The `errcodes.txt` of a major. PL/pgSQL is built from it, and it is installed beside the
/// server's other data.
fn list_of(major: u32) -> Result<PathBuf> {
    let binaries = match Binaries::find(Some(major)) {
        Some(binaries) => binaries,
        None => Binaries::at(Server::shared(major)?.bin_dir())
            .ok_or_else(|| Failure::new("the server's programs have gone"))?,
    };
    binaries
        .share_dir()
        .map(|dir| dir.join("errcodes.txt"))
        .ok_or_else(|| Failure::new(format!("PostgreSQL {major} came without errcodes.txt")))
}

/// The conditions of one or more lists, by code.
#[derive(Default)]
struct Conditions {
    names: BTreeMap<String, String>,
    classes: HashMap<String, String>,
}

impl Conditions {
    /// Adds a list: lines `code severity macro name`, under lines `Section: Class 22 - Data
    /// Exception`. A line without a name is an older name of a macro.
    fn add(&mut self, text: &str) -> Result<()> {
        for line in text.lines() {
            if let Some(section) = line.strip_prefix("Section: Class ") {
                let (class, title) = section
                    .split_once(" - ")
                    .ok_or_else(|| Failure::new(format!("no title: {line}")))?;
                // What follows in brackets explains the class, and is no part of its name.
                let title = title.split(" (").next().unwrap_or(title);
                self.classes.insert(class.to_owned(), title.to_owned());
                continue;
            }
            let fields: Vec<&str> = line.split_whitespace().collect();
            if let [code, "S" | "W" | "E", _, name] = fields[..] {
                let before = self.names.insert(code.to_owned(), name.to_owned());
                if before.is_some_and(|before| before != name) {
                    return Err(Failure::new(format!("{code} has two names")));
                }
            }
        }
        Ok(())
    }

    fn render(&self) -> String {
        let mut uses: HashMap<&str, u32> = HashMap::new();
        for name in self.names.values() {
            *uses.entry(name).or_default() += 1;
        }
        let mut text = String::from(
            "//! The conditions of PostgreSQL 15 and 18, generated from their `errcodes.txt` by\n\
             //! `cargo xtask codegen`.\n\
             //!\n\
             //! One line each: the constant, the code, the server's name, and the class.\n\n\
             super::sqlstate::conditions! {\n",
        );
        for (code, name) in &self.names {
            let class = &code[..2];
            let ambiguous = uses[name.as_str()] > 1 && class != "22";
            let constant = match self.names.get(&format!("{class}000")) {
                Some(prefix) if ambiguous => format!("{prefix}_{name}"),
                _ => name.clone(),
            };
            let title = self.classes.get(class).map_or("", String::as_str);
            // Writing to a string can't fail.
            let _ = writeln!(
                text,
                "    {}, {code:?}, {name:?}, {:?};",
                constant.to_uppercase(),
                format!("class {class}, {title}")
            );
        }
        text.push_str("}\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLDER: &str = "
# a comment
Section: Class 01 - Warning
01000    W    ERRCODE_WARNING                                 warning
01004    W    ERRCODE_WARNING_STRING_DATA_RIGHT_TRUNCATION    string_data_right_truncation
Section: Class 22 - Data Exception (or so)
22001    E    ERRCODE_STRING_DATA_RIGHT_TRUNCATION            string_data_right_truncation
22008    E    ERRCODE_DATETIME_FIELD_OVERFLOW                 datetime_field_overflow
22008    E    ERRCODE_DATETIME_VALUE_OUT_OF_RANGE
";

    #[test]
    fn lists_are_united_and_names_kept_apart() {
        let mut conditions = Conditions::default();
        conditions.add(OLDER).unwrap();
        conditions
            .add("Section: Class 10 - XQuery Error\n10608 E ERRCODE_X invalid_argument\n")
            .unwrap();
        let text = conditions.render();
        let lines: Vec<&str> = text.lines().filter(|line| line.ends_with(';')).collect();
        assert_eq!(
            lines,
            [
                r#"    WARNING, "01000", "warning", "class 01, Warning";"#,
                r#"    WARNING_STRING_DATA_RIGHT_TRUNCATION, "01004", "string_data_right_truncation", "class 01, Warning";"#,
                r#"    INVALID_ARGUMENT, "10608", "invalid_argument", "class 10, XQuery Error";"#,
                r#"    STRING_DATA_RIGHT_TRUNCATION, "22001", "string_data_right_truncation", "class 22, Data Exception";"#,
                r#"    DATETIME_FIELD_OVERFLOW, "22008", "datetime_field_overflow", "class 22, Data Exception";"#,
            ]
        );
    }

    #[test]
    fn a_code_that_changed_its_name_is_noticed() {
        let mut conditions = Conditions::default();
        conditions.add("01000 W ERRCODE_A one").unwrap();
        assert!(conditions.add("01000 W ERRCODE_A two").is_err());
    }
}
