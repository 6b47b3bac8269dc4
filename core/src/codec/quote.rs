//! The quotes in which the text forms of ranges and records put their parts.

use std::fmt;

/// The characters that C's `isspace` takes for spaces, as the server does.
pub(super) fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// Prints a part, in quotes if it is empty or has a special character; quotes and
/// backslashes are doubled (`range_bound_escape` in `rangetypes.c`).
pub(super) fn write_quoted(
    f: &mut impl fmt::Write,
    text: &str,
    is_special: impl Fn(char) -> bool,
) -> fmt::Result {
    if !text.is_empty() && !text.contains(is_special) {
        return f.write_str(text);
    }
    f.write_char('"')?;
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            f.write_char(character)?;
        }
        f.write_char(character)?;
    }
    f.write_char('"')
}
