//! One message: its values under its schema, as text and as bytes.

use std::collections::HashMap;
use std::fmt;

use super::schema::{self, Field, Head, Schema, Side};
use super::syntax::{self, Key, Piece, Pieces, Term};

/// A message with its values. What it holds may have captures.
#[derive(Clone, Debug)]
pub struct Message {
    pub(super) schema: &'static Schema,
    pub(super) values: Vec<Value>,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number, or a byte.
    Integer(i64),
    /// Bytes or text.
    Bytes(Pieces),
    /// A value that is NULL.
    Null,
    /// Whatever is, or gets, bound to this name.
    Capture(String),
    /// The items of a list, or all pairs of a field of pairs.
    List(Vec<Value>),
    /// One item of a list whose items have several fields.
    Tuple(Vec<Value>),
    /// A key and what it stands for.
    Pair(Pieces, Box<Value>),
}

/// What the captures of a dialogue stand for.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    values: HashMap<String, Value>,
}

/// A capture that nothing has bound yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbound(pub String);

impl Message {
    /// A message by its name.
    ///
    /// # Panics
    ///
    /// If there is none of this name, or if its fields are not these.
    pub fn new(side: Side, name: &str, values: Vec<Value>) -> Self {
        let Some(schema) = schema::by_name(side, name) else {
            panic!("{name} is no message of the {side:?}");
        };
        assert_eq!(
            schema.fields.len(),
            values.len(),
            "{name} has other fields than {values:?}"
        );
        Self { schema, values }
    }

    /// Reads a message from its line, without the letter of its side.
    pub fn parse(side: Side, line: &str) -> Result<Self, String> {
        let line = line.trim();
        let (name, arguments) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let schema = schema::by_name(side, name)
            .ok_or_else(|| format!("{name:?} is no message of the {side:?}"))?;
        let mut terms = syntax::parse_terms(arguments)?.into_iter();
        let mut values = Vec::with_capacity(schema.fields.len());
        for (position, field) in schema.fields.iter().enumerate() {
            let value = if field.takes_the_rest() {
                let pairs: Vec<Term> = terms.by_ref().collect();
                pairs
                    .into_iter()
                    .map(|term| resolve_pair(field, term))
                    .collect::<Result<_, _>>()
                    .map(Value::List)
            } else {
                let term = terms
                    .next()
                    .ok_or_else(|| format!("{name} needs {} arguments", schema.fields.len()))?;
                resolve(field, term)
            };
            values
                .push(value.map_err(|why| format!("argument {} of {name}: {why}", position + 1))?);
        }
        if let Some(term) = terms.next() {
            return Err(format!("{name} takes no further argument such as {term}"));
        }
        Ok(Self { schema, values })
    }

    /// The name in the manual.
    pub fn name(&self) -> &'static str {
        self.schema.name
    }

    /// Whether it only stands for the end of the stream.
    pub fn is_eof(&self) -> bool {
        self.name() == "eof"
    }

    /// The values of its fields.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The field at `position` as a number.
    ///
    /// # Panics
    ///
    /// If it is none.
    pub fn integer(&self, position: usize) -> i64 {
        match &self.values[position] {
            Value::Integer(value) => *value,
            other => panic!("field {position} of {self} is no number but {other:?}"),
        }
    }

    /// The field at `position` as bytes.
    ///
    /// # Panics
    ///
    /// If it is something else, or has captures.
    pub fn bytes(&self, position: usize) -> &[u8] {
        match &self.values[position] {
            Value::Bytes(pieces) => pieces.as_literal().expect("captures are for expectations"),
            other => panic!("field {position} of {self} is no bytes but {other:?}"),
        }
    }

    /// The field at `position` as text.
    ///
    /// # Panics
    ///
    /// If it is something else, or isn't UTF-8.
    pub fn text(&self, position: usize) -> &str {
        std::str::from_utf8(self.bytes(position)).expect("the text is UTF-8")
    }

    /// The items of the field at `position`.
    ///
    /// # Panics
    ///
    /// If it is no list.
    pub fn list(&self, position: usize) -> &[Value] {
        match &self.values[position] {
            Value::List(items) => items,
            other => panic!("field {position} of {self} is no list but {other:?}"),
        }
    }

    /// What stands under `key` in the last field: an error field such as `C`, or a startup
    /// parameter such as `user`.
    pub fn pair(&self, key: &str) -> Option<&[u8]> {
        let Some(Value::List(pairs)) = self.values.last() else {
            return None;
        };
        pairs.iter().find_map(|pair| match pair {
            Value::Pair(name, value) if name.as_literal() == Some(key.as_bytes()) => match &**value
            {
                Value::Bytes(pieces) => pieces.as_literal(),
                _ => None,
            },
            _ => None,
        })
    }

    /// The bytes on the wire.
    ///
    /// # Panics
    ///
    /// If it has captures; see [`encode`](Self::encode).
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encode(&Bindings::default())
            .unwrap_or_else(|Unbound(name)| panic!("nothing is bound to ${name} in {self}"))
    }

    /// The bytes on the wire, with what `bindings` has for the captures.
    pub fn encode(&self, bindings: &Bindings) -> Result<Vec<u8>, Unbound> {
        let mut out = Vec::new();
        match self.schema.head {
            Head::Tag(tag) => out.push(tag),
            Head::Authentication(_) => out.push(b'R'),
            Head::Code(_) | Head::Length | Head::None => {}
        }
        let start = out.len();
        if self.schema.head != Head::None {
            out.extend([0; 4]);
        }
        if let Head::Authentication(code) | Head::Code(code) = self.schema.head {
            out.extend(code.to_be_bytes());
        }
        encode_fields(self.schema.fields, &self.values, bindings, &mut out)?;
        if self.schema.head != Head::None {
            let length = length_of(out.len() - start);
            out[start..start + 4].copy_from_slice(&length);
        }
        Ok(out)
    }
}

/// The line of the message, without the letter of its side.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        for (field, value) in self.schema.fields.iter().zip(&self.values) {
            match value {
                Value::List(pairs) if field.takes_the_rest() => {
                    for pair in pairs {
                        write!(f, " {}", Written(field, pair))?;
                    }
                }
                value => write!(f, " {}", Written(field, value))?,
            }
        }
        Ok(())
    }
}

impl Value {
    /// Bytes without captures.
    pub fn bytes(bytes: &[u8]) -> Self {
        Self::Bytes(Pieces::literal(bytes))
    }

    /// A pair of a key and bytes.
    pub fn pair(key: &str, value: &[u8]) -> Self {
        Self::Pair(
            Pieces::literal(key.as_bytes()),
            Box::new(Self::bytes(value)),
        )
    }
}

impl Bindings {
    /// What `name` stands for.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// What `name` stands for, if it is bytes.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        match self.values.get(name) {
            Some(Value::Bytes(pieces)) => pieces.as_literal(),
            _ => None,
        }
    }

    /// Lets `name` stand for `value`. The name `_` stays free: it matches anything, each time.
    pub fn bind(&mut self, name: &str, value: Value) {
        if name != "_" {
            self.values.insert(name.to_owned(), value);
        }
    }
}

impl fmt::Display for Unbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing is bound to ${}", self.0)
    }
}

/// A value as it is written in the field.
struct Written<'a>(&'a Field, &'a Value);

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(field, value) = self;
        match (field, value) {
            (_, Value::Capture(name)) => write!(f, "${name}"),
            (_, Value::Null) => f.write_str("null"),
            (Field::Byte, Value::Integer(byte)) => match u8::try_from(*byte) {
                Ok(byte) if byte.is_ascii_alphanumeric() => write!(f, "{}", char::from(byte)),
                _ => write!(f, "x{byte:02x}"),
            },
            (Field::Oid, Value::Integer(oid)) => {
                match u32::try_from(*oid).ok().and_then(schema::type_name) {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{oid}"),
                }
            }
            (Field::Version, Value::Integer(version)) => {
                write!(f, "{}.{}", version >> 16, version & 0xffff)
            }
            (_, Value::Integer(value)) => write!(f, "{value}"),
            (_, Value::Bytes(pieces)) => pieces.fmt(f),
            (Field::List16(fields) | Field::List32(fields), Value::List(items)) => {
                let items: Vec<Item<'_>> = items.iter().map(|item| Item(fields, item)).collect();
                syntax::write_items(f, '[', &items, ", ", ']')
            }
            (_, Value::List(items)) => {
                let items: Vec<Written<'_>> =
                    items.iter().map(|item| Written(field, item)).collect();
                syntax::write_items(f, '[', &items, ", ", ']')
            }
            (Field::Codes, Value::Pair(key, value)) => {
                let short = match &**value {
                    Value::Bytes(pieces) => pieces.as_literal(),
                    _ => None,
                };
                match short.map(std::str::from_utf8) {
                    Some(Ok(word)) if syntax::is_bare_text(word) => {
                        write!(f, "{}={word}", Key(key))
                    }
                    _ => write!(f, "{}={}", Key(key), Written(field, value)),
                }
            }
            (_, Value::Pair(key, value)) => write!(f, "{}={}", Key(key), Written(field, value)),
            (_, Value::Tuple(_)) => unreachable!("only items of lists are tuples"),
        }
    }
}

/// An item of a list.
struct Item<'a>(&'a [Field], &'a Value);

impl fmt::Display for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            ([field], value) => Written(field, value).fmt(f),
            (fields, Value::Tuple(values)) => {
                let values: Vec<Written<'_>> = fields
                    .iter()
                    .zip(values)
                    .map(|(field, value)| Written(field, value))
                    .collect();
                syntax::write_items(f, '(', &values, " ", ')')
            }
            (_, Value::Capture(name)) => write!(f, "${name}"),
            (_, other) => unreachable!("{other:?} is no item of several fields"),
        }
    }
}

/// Gives a term the meaning that the field asks for.
fn resolve(field: &Field, term: Term) -> Result<Value, String> {
    if let Term::Capture(name) = term {
        return match field {
            Field::Body => Err("a body cannot be captured".to_owned()),
            _ => Ok(Value::Capture(name)),
        };
    }
    match field {
        Field::Byte => match &term {
            Term::Bare(word) if word.len() == 1 => {
                Ok(Value::Integer(i64::from(word.as_bytes()[0])))
            }
            _ => match resolve_bytes(&term)?.as_literal() {
                Some([byte]) => Ok(Value::Integer(i64::from(*byte))),
                _ => Err(format!("{term} is not one byte")),
            },
        },
        Field::Int8 => resolve_integer(&term, i64::from(i8::MIN), i64::from(u8::MAX))
            .map(|value| Value::Integer(i64::from(value as i8))),
        Field::Int16 => resolve_integer(&term, i64::from(i16::MIN), i64::from(u16::MAX))
            .map(|value| Value::Integer(i64::from(value as i16))),
        Field::Int32 => resolve_integer(&term, i64::from(i32::MIN), i64::from(u32::MAX))
            .map(|value| Value::Integer(i64::from(value as i32))),
        Field::Oid => {
            if let Term::Bare(word) = &term {
                if let Some(oid) = schema::type_oid(word) {
                    return Ok(Value::Integer(i64::from(oid)));
                }
            }
            resolve_integer(&term, 0, i64::from(u32::MAX)).map(Value::Integer)
        }
        Field::Version => resolve_version(&term).map(Value::Integer),
        Field::Value if term == Term::Bare("null".to_owned()) => Ok(Value::Null),
        Field::Value | Field::Rest | Field::Body => resolve_bytes(&term).map(Value::Bytes),
        Field::Text => resolve_text(&term).map(Value::Bytes),
        Field::Fixed(size) => {
            let pieces = resolve_bytes(&term)?;
            match pieces.as_literal() {
                Some(bytes) if bytes.len() != *size => Err(format!("{term} is not {size} bytes")),
                _ => Ok(Value::Bytes(pieces)),
            }
        }
        Field::List16(fields) | Field::List32(fields) => {
            let Term::List(items) = term else {
                return Err(format!("{term} is no list"));
            };
            items
                .into_iter()
                .map(|item| resolve_item(fields, item))
                .collect::<Result<_, _>>()
                .map(Value::List)
        }
        Field::Texts => {
            let Term::List(items) = term else {
                return Err(format!("{term} is no list"));
            };
            items
                .into_iter()
                .map(|item| match resolve(&Field::Text, item)? {
                    Value::Bytes(pieces) if pieces.0.is_empty() => {
                        Err("an empty text would end the list".to_owned())
                    }
                    value => Ok(value),
                })
                .collect::<Result<_, _>>()
                .map(Value::List)
        }
        Field::Pairs | Field::Codes => unreachable!("pairs take the rest of the line"),
    }
}

fn resolve_item(fields: &'static [Field], item: Term) -> Result<Value, String> {
    match (fields, item) {
        ([field], item) => resolve(field, item),
        (_, Term::Capture(_)) => Err("an item of several fields cannot be captured".to_owned()),
        (fields, Term::Tuple(terms)) if terms.len() == fields.len() => fields
            .iter()
            .zip(terms)
            .map(|(field, term)| resolve(field, term))
            .collect::<Result<_, _>>()
            .map(Value::Tuple),
        (fields, item) => Err(format!("{item} is not ({} fields)", fields.len())),
    }
}

fn resolve_pair(field: &Field, term: Term) -> Result<Value, String> {
    let Term::Pair(key, value) = term else {
        return Err(format!("{term} is no key=value"));
    };
    let name = key
        .as_literal()
        .ok_or_else(|| "a key has no captures".to_owned())?;
    let fits = match field {
        Field::Codes => name.len() == 1 && name != [0],
        _ => !name.is_empty() && !name.contains(&0),
    };
    if !fits {
        return Err(format!("{} is no key here", Key(&key)));
    }
    let value = match *value {
        Term::Capture(name) => Value::Capture(name),
        // `C=42601` is text, and so is `C=x0001`.
        Term::Bare(word) => Value::bytes(word.as_bytes()),
        term => Value::Bytes(resolve_text(&term)?),
    };
    Ok(Value::Pair(key, Box::new(value)))
}

fn resolve_integer(term: &Term, least: i64, most: i64) -> Result<i64, String> {
    let Term::Bare(word) = term else {
        return Err(format!("{term} is no number"));
    };
    let value: i64 = word.parse().map_err(|_| format!("{word} is no number"))?;
    if (least..=most).contains(&value) {
        Ok(value)
    } else {
        Err(format!("{word} is not within {least} and {most}"))
    }
}

fn resolve_version(term: &Term) -> Result<i64, String> {
    let wrong = || format!("{term} is no version such as 3.0");
    let Term::Bare(word) = term else {
        return Err(wrong());
    };
    let (major, minor) = word.split_once('.').ok_or_else(wrong)?;
    let major: u16 = major.parse().map_err(|_| wrong())?;
    let minor: u16 = minor.parse().map_err(|_| wrong())?;
    Ok(i64::from(major) << 16 | i64::from(minor))
}

fn resolve_bytes(term: &Term) -> Result<Pieces, String> {
    match term {
        Term::Quoted(pieces) => Ok(pieces.clone()),
        Term::Bare(word) => word
            .strip_prefix('x')
            .and_then(syntax::parse_hexadecimal)
            .map(|bytes| Pieces::literal(&bytes))
            .ok_or_else(|| format!("{word} needs quotes, or is no even number of digits after x")),
        _ => Err(format!("{term} is no bytes")),
    }
}

fn resolve_text(term: &Term) -> Result<Pieces, String> {
    let pieces = resolve_bytes(term)?;
    if pieces.contains(0) {
        return Err("a NUL ends a text; spell the message with `message`".to_owned());
    }
    Ok(pieces)
}

fn encode_fields(
    fields: &[Field],
    values: &[Value],
    bindings: &Bindings,
    out: &mut Vec<u8>,
) -> Result<(), Unbound> {
    for (field, value) in fields.iter().zip(values) {
        encode_field(field, value, bindings, out)?;
    }
    Ok(())
}

fn encode_field(
    field: &Field,
    value: &Value,
    bindings: &Bindings,
    out: &mut Vec<u8>,
) -> Result<(), Unbound> {
    if let Value::Capture(name) = value {
        let bound = bindings.value(name).ok_or_else(|| Unbound(name.clone()))?;
        return encode_field(field, bound, bindings, out);
    }
    match (field, value) {
        (Field::Byte | Field::Int8, Value::Integer(value)) => out.push(*value as u8),
        (Field::Int16, Value::Integer(value)) => out.extend((*value as i16).to_be_bytes()),
        (Field::Int32 | Field::Oid | Field::Version, Value::Integer(value)) => {
            out.extend((*value as u32).to_be_bytes());
        }
        (Field::Rest | Field::Fixed(_), Value::Bytes(pieces)) => fill(pieces, bindings, out)?,
        (Field::Text, Value::Bytes(pieces)) => {
            fill(pieces, bindings, out)?;
            out.push(0);
        }
        (Field::Value, Value::Null) => out.extend((-1_i32).to_be_bytes()),
        (Field::Value, Value::Bytes(pieces)) => {
            let start = out.len();
            out.extend([0; 4]);
            fill(pieces, bindings, out)?;
            let length = length_of(out.len() - start - 4);
            out[start..start + 4].copy_from_slice(&length);
        }
        (Field::Body, Value::Bytes(pieces)) => {
            let start = out.len();
            out.extend([0; 4]);
            fill(pieces, bindings, out)?;
            let length = length_of(out.len() - start);
            out[start..start + 4].copy_from_slice(&length);
        }
        (Field::List16(fields), Value::List(items)) => {
            let count = u16::try_from(items.len()).expect("a list of at most 65,535 items");
            out.extend(count.to_be_bytes());
            encode_items(fields, items, bindings, out)?;
        }
        (Field::List32(fields), Value::List(items)) => {
            out.extend(length_of(items.len()));
            encode_items(fields, items, bindings, out)?;
        }
        (Field::Texts, Value::List(items)) => {
            for item in items {
                encode_field(&Field::Text, item, bindings, out)?;
            }
            out.push(0);
        }
        (Field::Pairs, Value::List(pairs)) => {
            for pair in pairs {
                let Value::Pair(key, value) = pair else {
                    unreachable!("{pair:?} is no pair");
                };
                fill(key, bindings, out)?;
                out.push(0);
                encode_field(&Field::Text, value, bindings, out)?;
            }
            out.push(0);
        }
        (Field::Codes, Value::List(pairs)) => {
            for pair in pairs {
                let Value::Pair(key, value) = pair else {
                    unreachable!("{pair:?} is no pair");
                };
                fill(key, bindings, out)?;
                encode_field(&Field::Text, value, bindings, out)?;
            }
            out.push(0);
        }
        (field, value) => panic!("{value:?} does not fit into {field:?}"),
    }
    Ok(())
}

fn encode_items(
    fields: &[Field],
    items: &[Value],
    bindings: &Bindings,
    out: &mut Vec<u8>,
) -> Result<(), Unbound> {
    for item in items {
        match (fields, item) {
            ([field], item) => encode_field(field, item, bindings, out)?,
            (fields, Value::Tuple(values)) => encode_fields(fields, values, bindings, out)?,
            (_, other) => panic!("{other:?} is no item of several fields"),
        }
    }
    Ok(())
}

fn fill(pieces: &Pieces, bindings: &Bindings, out: &mut Vec<u8>) -> Result<(), Unbound> {
    for piece in &pieces.0 {
        match piece {
            Piece::Literal(bytes) => out.extend(bytes),
            Piece::Capture(name) => {
                let bound = bindings.bytes(name).ok_or_else(|| Unbound(name.clone()))?;
                out.extend(bound);
            }
        }
    }
    Ok(())
}

fn length_of(count: usize) -> [u8; 4] {
    i32::try_from(count)
        .expect("a length that fits into four bytes")
        .to_be_bytes()
}
