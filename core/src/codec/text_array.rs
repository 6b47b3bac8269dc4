//! The text form of arrays, in which those over types without a binary form come and go
//! (`array_out` and `array_in` in `arrayfuncs.c`): `{a,"b c",NULL}`, `[0:1]={a,b}`.
//!
//! Between the elements is the delimiter of their type: a comma, but for `box`, which has a binary
//! form, and for types that were created with a `DELIMITER` of their own.

use super::array::ArrayHeader;
use super::{MAX_DIMENSIONS, Reader};
use crate::error::DecodeError;
use crate::types::Type;

/// An element of an array in text form.
pub(super) enum TextElement<'r> {
    Null,
    /// The text as it is.
    Plain(&'r [u8]),
    /// A text in which a backslash stands before each character that has no meaning of its own.
    Escaped(&'r [u8]),
}

impl ArrayHeader {
    /// What the header of the same array would say in binary form, from its text, every byte of
    /// which is looked at; and what [`TextElement::next`] is to be given.
    pub(super) fn read_text<'r>(
        bytes: &'r [u8],
        element: &Type,
    ) -> Result<(Self, Reader<'r>), DecodeError> {
        let mut reader = Reader::new(bytes);
        let given = Bounds::read(&mut reader)?;
        let mut elements = reader;
        let mut shape = Shape::default();
        if reader.rest() == b"{}" {
            reader.bytes(2)?;
            elements = reader;
        } else {
            shape.read_row(&mut reader, element.delimiter(), 0)?;
        }
        reader.finish()?;
        let mut header = Self {
            dimensions: shape.dimensions,
            counts: shape.counts,
            lower_bounds: [1; MAX_DIMENSIONS],
            element_oid: element.oid(),
            total: shape.total,
        };
        if given.dimensions > 0 && given.dimensions != header.dimensions {
            return Err(malformed());
        }
        for (index, (lower, upper)) in given.bounds.into_iter().enumerate().take(given.dimensions) {
            let count = i64::from(upper) - i64::from(lower) + 1;
            if usize::try_from(count) != Ok(header.counts[index]) {
                return Err(malformed());
            }
            header.lower_bounds[index] = lower;
        }
        Ok((header, elements))
    }
}

impl<'r> TextElement<'r> {
    /// The next element of an array that [`ArrayHeader::read_text`] has looked at; which row it
    /// is in follows from the header.
    pub(super) fn next(reader: &mut Reader<'r>, delimiter: u8) -> Result<Self, DecodeError> {
        let is_punctuation = |&byte: &u8| matches!(byte, b'{' | b'}') || byte == delimiter;
        let before = reader.rest().iter().take_while(|byte| is_punctuation(byte));
        reader.bytes(before.count())?;
        Self::read(reader, delimiter)
    }

    /// Nothing but the ends of rows may follow the last element.
    pub(super) fn finish(reader: &Reader<'r>) -> Result<(), DecodeError> {
        match reader.rest().iter().all(|&byte| byte == b'}') {
            true => Ok(()),
            false => Err(malformed()),
        }
    }

    fn read(reader: &mut Reader<'r>, delimiter: u8) -> Result<Self, DecodeError> {
        if reader.rest().first() == Some(&b'"') {
            return Self::read_quoted(reader);
        }
        let is_end = |&byte: &u8| matches!(byte, b'{' | b'}' | b'"' | b'\\') || byte == delimiter;
        let text = reader.rest().iter().take_while(|byte| !is_end(byte));
        let text = reader.bytes(text.count())?;
        match text {
            [] => Err(malformed()),
            text if text.eq_ignore_ascii_case(b"NULL") => Ok(Self::Null),
            text => Ok(Self::Plain(text)),
        }
    }

    fn read_quoted(reader: &mut Reader<'r>) -> Result<Self, DecodeError> {
        reader.bytes(1)?;
        let rest = reader.rest();
        let (mut end, mut is_escaped) = (0, false);
        loop {
            match rest.get(end) {
                Some(b'"') => break,
                Some(b'\\') => {
                    is_escaped = true;
                    end += 2;
                }
                Some(_) => end += 1,
                None => return Err(malformed()),
            }
        }
        let text = reader.bytes(end)?;
        reader.bytes(1)?;
        Ok(match is_escaped {
            true => Self::Escaped(text),
            false => Self::Plain(text),
        })
    }
}

/// What an escaped text means.
pub(super) fn unescape(text: &[u8]) -> Result<String, DecodeError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'\\' => bytes.extend(rest.next()),
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|error| DecodeError::new(format!("it is not UTF-8: {error}")))
}

/// Puts an element into quotes, whether it needs them or not.
pub(super) fn quote(text: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(text.len() + 2);
    quoted.push(b'"');
    for &byte in text {
        if matches!(byte, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(byte);
    }
    quoted.push(b'"');
    quoted
}

/// How many elements there are in each dimension, as far as the text has been read.
#[derive(Default)]
struct Shape {
    dimensions: usize,
    counts: [usize; MAX_DIMENSIONS],
    total: usize,
}

impl Shape {
    /// Reads a row with `level` others around it, down to its elements.
    fn read_row(
        &mut self,
        reader: &mut Reader<'_>,
        delimiter: u8,
        level: usize,
    ) -> Result<(), DecodeError> {
        if level == MAX_DIMENSIONS || reader.u8()? != b'{' {
            return Err(malformed());
        }
        let mut count = 0;
        loop {
            if reader.rest().first() == Some(&b'{') {
                self.read_row(reader, delimiter, level + 1)?;
            } else {
                TextElement::read(reader, delimiter)?;
                self.total += 1;
                // Elements lie equally deep.
                match self.dimensions {
                    0 => self.dimensions = level + 1,
                    dimensions if dimensions == level + 1 => {}
                    _ => return Err(malformed()),
                }
            }
            count += 1;
            match reader.u8()? {
                b'}' => break,
                byte if byte == delimiter => {}
                _ => return Err(malformed()),
            }
        }
        // Rows are equally long.
        match &mut self.counts[level] {
            first @ 0 => *first = count,
            first if *first == count => {}
            _ => return Err(malformed()),
        }
        Ok(())
    }
}

/// The lower and the upper bound of each dimension, if they are given: `[-1:0][3:4]=`.
#[derive(Default)]
struct Bounds {
    dimensions: usize,
    bounds: [(i32, i32); MAX_DIMENSIONS],
}

impl Bounds {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut this = Self::default();
        while reader.rest().first() == Some(&b'[') {
            reader.u8()?;
            let place = this.bounds.get_mut(this.dimensions).ok_or_else(malformed)?;
            *place = (read_bound(reader, b':')?, read_bound(reader, b']')?);
            this.dimensions += 1;
        }
        if this.dimensions > 0 && reader.u8()? != b'=' {
            return Err(malformed());
        }
        Ok(this)
    }
}

/// A number up to `end`, which is skipped.
fn read_bound(reader: &mut Reader<'_>, end: u8) -> Result<i32, DecodeError> {
    let digits = reader.rest().iter().take_while(|&&byte| byte != end);
    let digits = reader.bytes(digits.count())?;
    reader.u8()?;
    let number = std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok());
    number.ok_or_else(malformed)
}

#[cold]
fn malformed() -> DecodeError {
    DecodeError::new("the text is not one of an array")
}

#[cfg(test)]
mod tests {
    use crate::buffer::WriteBuffer;
    use crate::codec::{
        Array, Decode, Dimension, Encode, IsNull, ParamWriter, RawValue, Value, accepts,
    };
    use crate::error::DecodeError;
    use crate::types::{Format, Type};

    fn read<'r, T: Decode<'r>>(text: &'r str) -> Result<T, DecodeError> {
        assert!(accepts::<T>(&Type::ACLITEM_ARRAY, Format::Text));
        T::decode(RawValue::new(
            text.as_bytes(),
            &Type::ACLITEM_ARRAY,
            Format::Text,
        ))
    }

    fn written<T: Encode>(value: &T) -> String {
        let mut buffer = WriteBuffer::default();
        let mut out = ParamWriter::new(&mut buffer, Format::Text);
        let is_null = value.encode(&Type::ACLITEM_ARRAY, &mut out).unwrap();
        assert_eq!(is_null, IsNull::No);
        String::from_utf8(buffer.pending().to_vec()).unwrap()
    }

    #[test]
    fn elements_are_read_with_and_without_quotes() {
        let texts: Vec<String> = read(r#"{a,"b c","","NULL","d\"e\\f","{g,h}"}"#).unwrap();
        assert_eq!(texts, ["a", "b c", "", "NULL", "d\"e\\f", "{g,h}"]);
        let some: Vec<Option<String>> = read("{NULL,null,\"null\",nul}").unwrap();
        let wanted = [None, None, Some("null".into()), Some("nul".into())];
        assert_eq!(some, wanted);
        assert_eq!(read::<Vec<String>>("{}").unwrap(), [""; 0]);
        assert_eq!(read::<Array<String>>("{}").unwrap(), Array::default());
        assert_eq!(read::<[Box<str>; 2]>("{é,\"\\é\"}").unwrap().concat(), "éé");
        let error = read::<Vec<String>>("{a,NULL}").unwrap_err().to_string();
        assert!(error.contains("element 1"), "{error}");
    }

    #[test]
    fn what_is_escaped_is_not_borrowed() {
        assert_eq!(read::<Vec<&str>>("{a,\"b c\"}").unwrap(), ["a", "b c"]);
        let error = read::<Vec<&str>>(r#"{a,"\\"}"#).unwrap_err().to_string();
        assert!(
            error.contains("element 1") && error.contains("String"),
            "{error}"
        );
        let copied: Vec<std::borrow::Cow<'_, str>> = read(r#"{a,"\\"}"#).unwrap();
        assert_eq!(copied, ["a", "\\"]);
    }

    #[test]
    fn dimensions_and_bounds_are_read() {
        let nested: Vec<Vec<String>> = read("{{a,b},{c,d}}").unwrap();
        assert_eq!(nested, [["a", "b"], ["c", "d"]]);
        let array: Array<Option<String>> = read("[0:0][-1:0]={{a,NULL}}").unwrap();
        let one = |length, lower| Dimension::new(length).starting_at(lower);
        assert_eq!(array.dimensions(), [one(1, 0), one(2, -1)]);
        assert_eq!(array.elements(), [Some("a".to_owned()), None]);
        let error = read::<Vec<String>>("{{a}}").unwrap_err().to_string();
        assert!(error.contains("2 dimensions"), "{error}");
        assert!(read::<Vec<Value>>("{a}").is_ok());
    }

    #[test]
    fn s27_what_is_no_array_is_an_error() {
        for text in [
            "",
            "{",
            "}",
            "a",
            "{a",
            "a}",
            "{a}}",
            "{{a}",
            "{a,}",
            "{,a}",
            "{a,,b}",
            "{}a",
            "{{}}",
            "{{a},b}",
            "{a,{b}}",
            "{{a},{b,c}}",
            "{{a},{{b}}}",
            "{\"a}",
            "{\"a\"b}",
            "{a\"b\"}",
            "{\"a\\",
            "{a\\b}",
            "[1:2]={a}",
            "[1:1]{a}",
            "[1:1]=",
            "[1]={a}",
            "[:]={a}",
            "[1:1][1:1]={a}",
            "[1:99999999999]={a}",
            "={a}",
            "[1:0]={}",
            "{{{{{{{a}}}}}}}",
            "[1:1][1:1][1:1][1:1][1:1][1:1][1:1]={{{{{{{a}}}}}}}",
        ] {
            assert!(read::<Array<Option<String>>>(text).is_err(), "{text}");
        }
        let deep = "{".repeat(100_000);
        assert!(read::<Array<String>>(&deep).is_err());
    }

    #[test]
    fn every_text_is_written_and_read_as_it_was() {
        let texts = [
            "",
            "a",
            "NULL",
            "{",
            "}",
            ",",
            "\"",
            "\\",
            " ",
            "a\"b\\c,d é",
        ];
        let texts: Vec<Option<String>> = texts.iter().map(|&text| Some(text.into())).collect();
        let with_null = [texts.clone(), vec![None]].concat();
        assert_eq!(
            read::<Vec<Option<String>>>(&written(&with_null)).unwrap(),
            with_null
        );
        let nested = vec![texts.clone(), texts.clone()];
        assert_eq!(
            read::<Vec<Vec<Option<String>>>>(&written(&nested)).unwrap(),
            nested
        );
        let dimensions = [Dimension::new(2).starting_at(-1), Dimension::new(5)];
        let array = Array::new(dimensions, texts).unwrap();
        assert_eq!(
            read::<Array<Option<String>>>(&written(&array)).unwrap(),
            array
        );
        assert_eq!(written(&Vec::<String>::new()), "{}");
        assert_eq!(written(&vec![Vec::<String>::new(); 2]), "{}");
        assert_eq!(written(&Array::<String>::default()), "{}");
        assert_eq!(written(&Array::from(vec!["a", "b"])), r#"{"a","b"}"#);
    }
}
