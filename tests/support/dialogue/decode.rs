//! Bytes of either side back to messages.

use super::message::{Message, Value};
use super::schema::{self, Field, Head, Schema, Side};
use super::syntax::Pieces;

/// Cuts one side's bytes into messages, as they arrive.
///
/// Decoding loses nothing: what a decoded message encodes to is what arrived. A body that
/// its layout does not fit comes out as `message`, and what cannot even be framed as `raw`.
#[derive(Clone, Debug)]
pub struct Decoder {
    side: Side,
    bytes: Vec<u8>,
    phase: Phase,
    password: Password,
}

/// What the bytes at the front are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Packets without a tag: the frontend until its startup message.
    Packets,
    /// The byte that answers an SSLRequest.
    SslResponse,
    /// Messages with a tag.
    Messages,
    /// Nothing that this decoder can read: TLS, or what follows a broken frame.
    Opaque,
}

/// What a message `p` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Password {
    Plain,
    SaslInitial,
    Sasl,
    Gss,
}

impl Decoder {
    /// A decoder from the first byte of a connection on.
    pub fn new(side: Side) -> Self {
        Self {
            side,
            bytes: Vec::new(),
            phase: match side {
                Side::Frontend => Phase::Packets,
                Side::Backend => Phase::Messages,
            },
            password: Password::Plain,
        }
    }

    /// A decoder of a connection that has started up already.
    pub fn started(side: Side) -> Self {
        Self {
            phase: Phase::Messages,
            ..Self::new(side)
        }
    }

    /// Takes bytes that arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes note of a message of the other side, which says how the next one of this side
    /// is to be read.
    pub fn note(&mut self, other: &Message) {
        match (self.side, other.name()) {
            (Side::Frontend, "AuthenticationSASL") => self.password = Password::SaslInitial,
            (Side::Frontend, "AuthenticationSASLContinue") => self.password = Password::Sasl,
            (
                Side::Frontend,
                "AuthenticationGSS" | "AuthenticationSSPI" | "AuthenticationGSSContinue",
            ) => self.password = Password::Gss,
            (Side::Frontend, "AuthenticationCleartextPassword" | "AuthenticationMD5Password") => {
                self.password = Password::Plain
            }
            (Side::Frontend, "SSLResponse") if other.integer(0) != i64::from(b'N') => {
                self.phase = Phase::Opaque;
            }
            (Side::Backend, "SSLRequest" | "GSSENCRequest") => self.phase = Phase::SslResponse,
            _ => {}
        }
    }

    /// The next message, if it has arrived as a whole.
    pub fn next_message(&mut self) -> Option<Message> {
        let (message, length) = match self.phase {
            Phase::Packets => self.packet()?,
            Phase::SslResponse => self.ssl_response()?,
            Phase::Messages => self.message()?,
            Phase::Opaque => {
                let length = self.bytes.len();
                if length == 0 {
                    return None;
                }
                (raw(&self.bytes), length)
            }
        };
        self.bytes.drain(..length);
        Some(message)
    }

    /// The bytes that are no whole message yet.
    pub fn rest(&self) -> &[u8] {
        &self.bytes
    }

    fn packet(&mut self) -> Option<(Message, usize)> {
        let length = self.announced(0)?;
        if length < 8 {
            return Some(self.give_up());
        }
        let packet = self.bytes.get(..length)?;
        let code = i32::from_be_bytes(packet[4..8].try_into().expect("four bytes"));
        let coded = schema::by_head(self.side, Head::Code(code)).next();
        let decoded = match coded {
            Some(schema) => decode_body(schema, &packet[8..]),
            None => {
                self.phase = Phase::Messages;
                schema::by_head(self.side, Head::Length)
                    .next()
                    .and_then(|schema| decode_body(schema, &packet[4..]))
            }
        };
        Some((decoded.unwrap_or_else(|| raw(packet)), length))
    }

    fn ssl_response(&mut self) -> Option<(Message, usize)> {
        let answer = *self.bytes.first()?;
        match answer {
            // An old server, or one that cannot fork, answers with an ErrorResponse instead.
            b'E' => {
                self.phase = Phase::Messages;
                return self.message();
            }
            b'N' => self.phase = Phase::Messages,
            _ => self.phase = Phase::Opaque,
        }
        let answer = Value::Integer(i64::from(answer));
        Some((Message::new(self.side, "SSLResponse", vec![answer]), 1))
    }

    fn message(&mut self) -> Option<(Message, usize)> {
        let length = self.announced(1)?;
        if length < 4 {
            return Some(self.give_up());
        }
        let frame = self.bytes.get(..length + 1)?;
        let (tag, body) = (frame[0], &frame[5..]);
        let decoded = match self.schema_of(tag, body) {
            Some((schema, body)) => decode_body(schema, body),
            None => None,
        };
        let message = decoded.unwrap_or_else(|| Message {
            schema: schema::message(),
            values: vec![Value::Integer(i64::from(tag)), Value::bytes(body)],
        });
        if self.password == Password::SaslInitial && message.name() == "SASLInitialResponse" {
            self.password = Password::Sasl;
        }
        Some((message, length + 1))
    }

    fn schema_of<'b>(&self, tag: u8, body: &'b [u8]) -> Option<(&'static Schema, &'b [u8])> {
        if self.side == Side::Backend && tag == b'R' {
            let (code, rest) = body.split_first_chunk::<4>()?;
            let head = Head::Authentication(i32::from_be_bytes(*code));
            return Some((schema::by_head(self.side, head).next()?, rest));
        }
        if self.side == Side::Frontend && tag == b'p' {
            let name = match self.password {
                Password::Plain => "PasswordMessage",
                Password::SaslInitial => "SASLInitialResponse",
                Password::Sasl => "SASLResponse",
                Password::Gss => "GSSResponse",
            };
            return Some((schema::by_name(self.side, name)?, body));
        }
        let schema = schema::by_head(self.side, Head::Tag(tag)).next()?;
        Some((schema, body))
    }

    /// The length that stands at `offset`; a negative one is none that can be framed.
    fn announced(&self, offset: usize) -> Option<usize> {
        let length = self.bytes.get(offset..offset + 4)?;
        let length = i32::from_be_bytes(length.try_into().expect("four bytes"));
        Some(usize::try_from(length).unwrap_or(0))
    }

    fn give_up(&mut self) -> (Message, usize) {
        self.phase = Phase::Opaque;
        (raw(&self.bytes), self.bytes.len())
    }
}

fn raw(bytes: &[u8]) -> Message {
    Message {
        schema: schema::raw(),
        values: vec![Value::bytes(bytes)],
    }
}

/// The message, if the body has exactly the layout of `schema`.
fn decode_body(schema: &'static Schema, body: &[u8]) -> Option<Message> {
    let mut rest = body;
    let values = schema
        .fields
        .iter()
        .map(|field| decode_field(field, &mut rest))
        .collect::<Option<Vec<_>>>()?;
    rest.is_empty().then_some(Message { schema, values })
}

fn decode_field(field: &Field, rest: &mut &[u8]) -> Option<Value> {
    let value = match field {
        Field::Byte => Value::Integer(i64::from(take::<1>(rest)?[0])),
        Field::Int8 => Value::Integer(i64::from(i8::from_be_bytes(take(rest)?))),
        Field::Int16 => Value::Integer(i64::from(i16::from_be_bytes(take(rest)?))),
        Field::Int32 => Value::Integer(i64::from(i32::from_be_bytes(take(rest)?))),
        Field::Oid | Field::Version => Value::Integer(i64::from(u32::from_be_bytes(take(rest)?))),
        Field::Text => Value::bytes(take_text(rest)?),
        Field::Fixed(size) => Value::bytes(take_bytes(rest, *size)?),
        Field::Rest => Value::bytes(std::mem::take(rest)),
        Field::Value => {
            let length = i32::from_be_bytes(take(rest)?);
            if length == -1 {
                Value::Null
            } else {
                Value::bytes(take_bytes(rest, usize::try_from(length).ok()?)?)
            }
        }
        // Only `message` has a body, and no message is decoded as one by its layout.
        Field::Body => return None,
        Field::List16(fields) => {
            let count = u16::from_be_bytes(take(rest)?);
            decode_items(fields, usize::from(count), rest)?
        }
        Field::List32(fields) => {
            let count = u32::from_be_bytes(take(rest)?);
            decode_items(fields, usize::try_from(count).ok()?, rest)?
        }
        Field::Texts => {
            let mut texts = Vec::new();
            loop {
                let text = take_text(rest)?;
                if text.is_empty() {
                    break Value::List(texts);
                }
                texts.push(Value::bytes(text));
            }
        }
        Field::Pairs => {
            let mut pairs = Vec::new();
            loop {
                let key = take_text(rest)?;
                if key.is_empty() {
                    break Value::List(pairs);
                }
                let value = Value::bytes(take_text(rest)?);
                pairs.push(Value::Pair(Pieces::literal(key), Box::new(value)));
            }
        }
        Field::Codes => {
            let mut pairs = Vec::new();
            loop {
                let key = take::<1>(rest)?;
                if key == [0] {
                    break Value::List(pairs);
                }
                let value = Value::bytes(take_text(rest)?);
                pairs.push(Value::Pair(Pieces::literal(&key), Box::new(value)));
            }
        }
    };
    Some(value)
}

fn decode_items(fields: &[Field], count: usize, rest: &mut &[u8]) -> Option<Value> {
    let mut items = Vec::new();
    for _ in 0..count {
        let item = match fields {
            [field] => decode_field(field, rest)?,
            fields => Value::Tuple(
                fields
                    .iter()
                    .map(|field| decode_field(field, rest))
                    .collect::<Option<_>>()?,
            ),
        };
        items.push(item);
    }
    Some(Value::List(items))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*taken)
}

fn take_bytes<'b>(rest: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn take_text<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let end = rest.iter().position(|byte| *byte == 0)?;
    let text = take_bytes(rest, end)?;
    *rest = &rest[1..];
    Some(text)
}
