//! Wire dialogues as text: what a frontend and a backend say to each other, a line each.
//!
//! ```text
//! # A statement with one parameter.
//! A fetch_one "select $1::int4" [42]
//! F Parse "$name" "select $1::int4" [int4]
//! F Sync
//! B ParseComplete
//! B RowDescription [("id" 0 0 int4 4 -1 1)]
//! B DataRow [x0000002a, null, "text"]
//! B ReadyForQuery I
//! O row 42
//! ```
//!
//! # Grammar
//!
//! ```text
//! line     = [ side name { term } ] [ "#" comment ]
//! side     = "F" | "B" | "A" | "O"
//! term     = bare | text | bytes | capture | list | tuple | pair
//! bare     = letters, digits and _ . + - * / :
//! text     = '"' { character | \n \r \t \" \\ \$ \xHH | "${" capture-name "}" } '"'
//! bytes    = "x" digits | 'x"' digits and spaces '"'
//! capture  = "$" capture-name
//! list     = "[" { term [","] } "]"
//! tuple    = "(" { term } ")"
//! pair     = ( bare | text ) "=" term
//! ```
//!
//! A line that begins with a space or a tab continues the line before it.
//!
//! `F` is what the frontend sends, `B` what the backend sends. `A` is what the application
//! asks of the driver and `O` what must come of it; their words mean what the runner makes of
//! them ([`Directive`]). Names and fields of messages are those of the manual, in its order,
//! except that counts and lengths are left out: lists and bytes have them. See
//! `tests/dialogues/README.md` for how each kind of field is written.
//!
//! A capture in an `F` line matches anything and is bound to what it matched; where it
//! stands again, in a line of either side, it is that. `$_` matches anything each time.

mod backend_messages;
mod decode;
mod frontend_messages;
mod matching;
mod message;
mod mutation;
mod replay;
mod schema;
mod syntax;
mod transcript;

use std::fmt;
use std::fs;
use std::path::Path;

pub use self::decode::Decoder;
pub use self::matching::{Mismatch, matches};
pub use self::message::{Bindings, Message, Unbound, Value};
pub use self::mutation::{Arrival, Delivery, Mutation};
pub use self::replay::{Replay, Turn};
pub use self::schema::Side;
pub use self::syntax::{Piece, Pieces, Term, parse_hexadecimal};
pub use self::transcript::{transcribe, transcribe_started};

/// The messages of the server, one function each.
pub mod backend {
    pub use super::backend_messages::*;
}

/// The messages of the client, one function each.
pub mod frontend {
    pub use super::frontend_messages::*;
}

/// What both sides say, in order.
#[derive(Clone, Debug)]
pub struct Dialogue {
    /// The name of its file, for messages.
    pub name: String,
    /// Its steps, in order. No two in a row are of the same kind, directives aside.
    pub steps: Vec<Step>,
}

/// A part of a [`Dialogue`].
#[derive(Clone, Debug)]
pub enum Step {
    /// The frontend must now send exactly these.
    Expect(Vec<Line>),
    /// The backend sends these, together.
    Deliver(Vec<Line>),
    /// The application asks for this.
    Application(Directive),
    /// This must have come of it.
    Outcome(Directive),
}

/// A message and where it stands.
#[derive(Clone, Debug)]
pub struct Line {
    /// The number of the line in its file, from 1.
    pub number: usize,
    /// What it says.
    pub message: Message,
}

/// An `A` or `O` line.
#[derive(Clone, Debug)]
pub struct Directive {
    /// The number of the line in its file, from 1.
    pub number: usize,
    /// Its first word.
    pub name: String,
    /// What follows.
    pub arguments: Vec<Term>,
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The name of the file.
    pub name: String,
    /// The number of the line, from 1; 0 where the file itself cannot be read.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

impl Dialogue {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, ParseError> {
        let name = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&name, &text),
            Err(error) => Err(ParseError {
                name,
                line: 0,
                why: error.to_string(),
            }),
        }
    }

    /// Reads every `*.txt` of a directory, in the order of their names.
    pub fn load_all(directory: &Path) -> Result<Vec<Self>, ParseError> {
        let unreadable = |error: std::io::Error| ParseError {
            name: directory.display().to_string(),
            line: 0,
            why: error.to_string(),
        };
        let mut paths = fs::read_dir(directory)
            .map_err(unreadable)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable)?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
        paths.sort();
        paths.iter().map(|path| Self::load(path)).collect()
    }

    /// Reads a text; `name` stands in messages about it.
    pub fn parse(name: &str, text: &str) -> Result<Self, ParseError> {
        let mut steps = Vec::new();
        for (number, line) in logical_lines(text) {
            add_line(&mut steps, number, &line).map_err(|why| ParseError {
                name: name.to_owned(),
                line: number,
                why,
            })?;
        }
        Ok(Self {
            name: name.to_owned(),
            steps,
        })
    }

    /// Every message of one side, in order.
    pub fn messages(&self, side: Side) -> impl Iterator<Item = &Message> {
        let lines = self.steps.iter().flat_map(move |step| match (step, side) {
            (Step::Expect(lines), Side::Frontend) | (Step::Deliver(lines), Side::Backend) => {
                lines.as_slice()
            }
            _ => &[],
        });
        lines.map(|line| &line.message)
    }

    /// Whether it begins with a new connection, so that what the frontend says first is a
    /// packet without a tag.
    pub fn starts_up(&self) -> bool {
        let first = self.messages(Side::Frontend).next();
        first.is_some_and(|message| {
            matches!(
                message.name(),
                "StartupMessage" | "SSLRequest" | "GSSENCRequest" | "CancelRequest"
            )
        })
    }

    /// The bytes of every message of one side, one after the other.
    pub fn bytes(&self, side: Side, bindings: &Bindings) -> Result<Vec<u8>, Unbound> {
        let mut bytes = Vec::new();
        for message in self.messages(side) {
            bytes.extend(message.encode(bindings)?);
        }
        Ok(bytes)
    }
}

/// The text of the dialogue, without its comments.
impl fmt::Display for Dialogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            match step {
                Step::Expect(lines) => write_lines(f, Side::Frontend, lines)?,
                Step::Deliver(lines) => write_lines(f, Side::Backend, lines)?,
                Step::Application(directive) => writeln!(f, "A {directive}")?,
                Step::Outcome(directive) => writeln!(f, "O {directive}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.arguments
            .iter()
            .try_for_each(|argument| write!(f, " {argument}"))
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.name, self.line, self.why)
    }
}

impl std::error::Error for ParseError {}

fn write_lines(f: &mut fmt::Formatter<'_>, side: Side, lines: &[Line]) -> fmt::Result {
    lines
        .iter()
        .try_for_each(|line| writeln!(f, "{} {}", side.letter(), line.message))
}

/// The lines that say something, continued ones joined, with the number of their first.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (position, line) in text.lines().enumerate() {
        let said = syntax::without_comment(line).trim();
        if said.is_empty() {
            continue;
        }
        match lines.last_mut() {
            Some((_, before)) if line.starts_with([' ', '\t']) => {
                before.push(' ');
                before.push_str(said);
            }
            _ => lines.push((position + 1, said.to_owned())),
        }
    }
    lines
}

fn add_line(steps: &mut Vec<Step>, number: usize, line: &str) -> Result<(), String> {
    let (side, rest) = line
        .split_once([' ', '\t'])
        .ok_or_else(|| format!("{line:?} says nothing"))?;
    match side {
        "F" => {
            let message = Message::parse(Side::Frontend, rest)?;
            let line = Line { number, message };
            match steps.last_mut() {
                Some(Step::Expect(lines)) => lines.push(line),
                _ => steps.push(Step::Expect(vec![line])),
            }
        }
        "B" => {
            let message = Message::parse(Side::Backend, rest)?;
            let line = Line { number, message };
            match steps.last_mut() {
                Some(Step::Deliver(lines)) => lines.push(line),
                _ => steps.push(Step::Deliver(vec![line])),
            }
        }
        "A" => steps.push(Step::Application(directive(number, rest)?)),
        "O" => steps.push(Step::Outcome(directive(number, rest)?)),
        other => return Err(format!("a line starts with F, B, A or O, not {other:?}")),
    }
    Ok(())
}

fn directive(number: usize, rest: &str) -> Result<Directive, String> {
    let mut terms = syntax::parse_terms(rest)?.into_iter();
    match terms.next() {
        Some(Term::Bare(name)) => Ok(Directive {
            number,
            name,
            arguments: terms.collect(),
        }),
        _ => Err("a line of A or O starts with a word".to_owned()),
    }
}
