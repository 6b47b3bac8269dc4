//! ErrorResponse and NoticeResponse
//! (manual, "Error and Notice Message Fields").

use crate::error::{Result, ServerError, Severity, SqlState};
use crate::wire::reader::{Reader, ends_early, left_over};

/// The fields of an ErrorResponse or NoticeResponse: code and text, in the server's order.
#[derive(Clone, Debug)]
pub struct ErrorFields<'a> {
    /// Fields that are whole, up to and with the byte that ends them.
    reader: Reader<'a>,
}

impl<'a> ErrorFields<'a> {
    /// Reads the body.
    ///
    /// # Errors
    ///
    /// A body that ends early or goes on.
    pub fn parse(body: &'a [u8]) -> Result<Self> {
        let mut fields = Self {
            reader: Reader::new(body),
        };
        let this = fields.clone();
        while fields.next().is_some() {}
        // What stopped the walk must be the byte that ends the list, and that the last one.
        match fields.reader.rest() {
            [0] => Ok(this),
            [0, rest @ ..] => Err(left_over(MESSAGE, rest.len())),
            [] => Err(ends_early(MESSAGE, "the list of fields")),
            [code, ..] => Err(ends_early(
                MESSAGE,
                format_args!("the field '{}'", code.escape_ascii()),
            )),
        }
    }
}

impl<'a> Iterator for ErrorFields<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut reader = self.reader;
        let code = reader.u8().filter(|&code| code != 0)?;
        let text = reader.string()?;
        self.reader = reader;
        Some((code, text))
    }
}

/// Reads the body of an ErrorResponse or NoticeResponse into an error that owns its text.
///
/// Text that isn't UTF-8 gets replacement characters, numbers that aren't are left out, and
/// fields that this driver doesn't know are skipped, as the manual asks. Where a field comes
/// twice the last one counts.
///
/// # Errors
///
/// A body that ends early or goes on.
pub fn to_server_error(body: &[u8]) -> Result<ServerError> {
    let mut fields = [None; 128];
    for (code, text) in ErrorFields::parse(body)? {
        if let Some(field) = fields.get_mut(usize::from(code)) {
            *field = Some(text);
        }
    }
    let field = |code: u8| fields[usize::from(code)];
    let text = |code| field(code).map(to_text);
    let number = |code| std::str::from_utf8(field(code)?).ok()?.parse().ok();
    // V is never localized, but older servers and some poolers send S alone.
    let severity = field(b'V')
        .and_then(severity)
        .or_else(|| field(b'S').and_then(severity))
        .unwrap_or_default();
    let sqlstate = field(b'C')
        .and_then(SqlState::from_bytes)
        .unwrap_or_else(|| missing_code(severity));
    Ok(ServerError {
        severity,
        sqlstate,
        message: text(b'M').unwrap_or_default(),
        detail: text(b'D'),
        hint: text(b'H'),
        position: number(b'P'),
        internal_position: number(b'p'),
        internal_query: text(b'q'),
        context: text(b'W'),
        schema: text(b's'),
        table: text(b't'),
        column: text(b'c'),
        data_type: text(b'd'),
        constraint: text(b'n'),
        file: text(b'F'),
        line: number(b'L'),
        routine: text(b'R'),
    })
}

fn to_text(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}

fn severity(name: &[u8]) -> Option<Severity> {
    Some(match name {
        b"ERROR" => Severity::Error,
        b"FATAL" => Severity::Fatal,
        b"PANIC" => Severity::Panic,
        b"WARNING" => Severity::Warning,
        b"NOTICE" => Severity::Notice,
        b"DEBUG" => Severity::Debug,
        b"INFO" => Severity::Info,
        b"LOG" => Severity::Log,
        _ => return None,
    })
}

/// The code of a report without a readable one. An error must not look like success.
fn missing_code(severity: Severity) -> SqlState {
    match severity {
        Severity::Error | Severity::Fatal | Severity::Panic => SqlState::INTERNAL_ERROR,
        _ => SqlState::SUCCESSFUL_COMPLETION,
    }
}

const MESSAGE: &str = "ErrorResponse";
