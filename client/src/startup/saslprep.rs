//! SASLprep of passwords (RFC 4013), with PostgreSQL's reading of it (the server's
//! `common/saslprep.c`, which libpq shares).

use std::borrow::Cow;

use stringprep::tables;
use unicode_normalization::UnicodeNormalization as _;

/// The form of `password` that SCRAM works on.
///
/// As in PostgreSQL, a password that SASLprep refuses, one that isn't UTF-8 and one of
/// which nothing would remain is taken as the bytes that it is, so that such passwords
/// work. Also as there, prohibited, unassigned and right-to-left characters are looked for
/// in what goes into the normalization, not in what comes out.
pub fn prepare(password: &[u8]) -> Cow<'_, [u8]> {
    // ASCII stays as it is, control characters too: those would be refused, and then also
    // be taken as they are.
    if password.is_ascii() {
        return Cow::Borrowed(password);
    }
    let prepared = std::str::from_utf8(password).ok().and_then(normalize);
    match prepared {
        Some(prepared) => Cow::Owned(prepared.into_bytes()),
        None => Cow::Borrowed(password),
    }
}

fn normalize(password: &str) -> Option<String> {
    let mapped: String = password
        .chars()
        .filter_map(|c| {
            if tables::non_ascii_space_character(c) {
                Some(' ')
            } else if tables::commonly_mapped_to_nothing(c) {
                None
            } else {
                Some(c)
            }
        })
        .collect();
    let (first, last) = (mapped.chars().next()?, mapped.chars().next_back()?);
    if mapped.chars().any(is_prohibited) {
        return None;
    }
    let right_to_left = tables::bidi_r_or_al;
    if mapped.contains(right_to_left)
        && (mapped.contains(is_left_to_right) || !right_to_left(first) || !right_to_left(last))
    {
        return None;
    }
    Some(mapped.nfkc().collect())
}

/// RFC 3454, table D.2. The crate's own table is that of today's Unicode, which has
/// reclassified some characters since version 3.2.
fn is_left_to_right(c: char) -> bool {
    match c {
        '\u{CBF}'
        | '\u{CC6}'
        | '\u{1734}'
        | '\u{2132}'
        | '\u{2800}'..='\u{28FF}'
        | '\u{302E}'..='\u{302F}' => false,
        '\u{17B4}'..='\u{17B5}'
        | '\u{1885}'..='\u{1886}'
        | '\u{1D6C1}'
        | '\u{1D6DB}'
        | '\u{1D6FB}'
        | '\u{1D715}'
        | '\u{1D735}'
        | '\u{1D74F}'
        | '\u{1D76F}'
        | '\u{1D789}'
        | '\u{1D7A9}'
        | '\u{1D7C3}' => true,
        c => tables::bidi_l(c),
    }
}

/// RFC 4013, sections 2.3 and 2.5.
fn is_prohibited(c: char) -> bool {
    tables::non_ascii_space_character(c)
        || tables::ascii_control_character(c)
        || tables::non_ascii_control_character(c)
        || tables::private_use(c)
        || tables::non_character_code_point(c)
        || tables::inappropriate_for_plain_text(c)
        || tables::inappropriate_for_canonical_representation(c)
        || tables::change_display_properties_or_deprecated(c)
        || tables::tagging_character(c)
        || tables::unassigned_code_point(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(password: &str, prepared: &str) {
        assert_eq!(
            prepare(password.as_bytes()),
            prepared.as_bytes(),
            "{password:?}"
        );
    }

    #[test]
    fn the_examples_of_the_rfc() {
        check("I\u{AD}X", "IX");
        check("user", "user");
        check("USER", "USER");
        check("\u{AA}", "a");
        check("\u{2168}", "IX");
        // Refused there, so taken as they are here.
        check("\u{7}", "\u{7}");
        check("\u{627}1", "\u{627}1");
    }

    #[test]
    fn what_is_refused_stays_as_it_is() {
        check("", "");
        // Nothing would remain.
        check("\u{AD}", "\u{AD}");
        check("\u{FB01}\u{85}", "\u{FB01}\u{85}");
        check("\u{FB01}\u{E000}", "\u{FB01}\u{E000}");
        // Assigned only after Unicode 3.2.
        check("\u{FB01}\u{1F600}", "\u{FB01}\u{1F600}");
        check("\u{5D0}\u{FB01}", "\u{5D0}\u{FB01}");
        assert_eq!(prepare(b"\xff\xfe \xc2"), &b"\xff\xfe \xc2"[..]);
    }

    #[test]
    fn what_is_allowed_is_normalized() {
        check("a\u{A0}b\u{3000}c", "a b c");
        check("\u{FB01}", "fi");
        check("e\u{301}", "\u{E9}");
        check("\u{5D0}1\u{FB2A}", "\u{5D0}1\u{5E9}\u{5C1}");
        // The zero-width space is both a space and mapped to nothing: the first counts.
        check("a\u{200B}b", "a b");
        // Of no direction in Unicode 3.2, left-to-right today; and the other way round.
        check("\u{5D0}\u{2800}\u{FB2A}", "\u{5D0}\u{2800}\u{5E9}\u{5C1}");
        check("\u{5D0}\u{1D6C1}\u{FB2A}", "\u{5D0}\u{1D6C1}\u{FB2A}");
        // A left-to-right character that becomes a right-to-left one.
        check("\u{2135}a", "\u{5D0}a");
    }
}
