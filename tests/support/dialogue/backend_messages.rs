use super::message::{Message, Value};
use super::schema::Side;

/// A column of a RowDescription.
#[derive(Clone, Debug)]
pub struct Column<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// The OID of its table, or 0.
    pub table: u32,
    /// Its number in that table, or 0.
    pub attribute: i16,
    /// The OID of its type.
    pub type_oid: u32,
    /// The size of its type in bytes; negative where it varies.
    pub type_size: i16,
    /// The modifier of its type.
    pub type_modifier: i32,
    /// 0 for text, 1 for binary.
    pub format: i16,
}

impl<'a> Column<'a> {
    /// A column in binary format that belongs to no table.
    pub fn new(name: &'a str, type_oid: u32, type_size: i16) -> Self {
        Self {
            name: name.as_bytes(),
            table: 0,
            attribute: 0,
            type_oid,
            type_size,
            type_modifier: -1,
            format: 1,
        }
    }
}

/// The message of this line, such as `DataRow [x0000002a, null]`.
///
/// # Panics
///
/// If the line cannot be read.
pub fn line(line: &str) -> Message {
    Message::parse(Side::Backend, line).unwrap_or_else(|why| panic!("{line}: {why}"))
}

/// AuthenticationOk.
pub fn authentication_ok() -> Message {
    message("AuthenticationOk", vec![])
}

/// AuthenticationCleartextPassword.
pub fn authentication_cleartext_password() -> Message {
    message("AuthenticationCleartextPassword", vec![])
}

/// AuthenticationMD5Password.
pub fn authentication_md5_password(salt: [u8; 4]) -> Message {
    message("AuthenticationMD5Password", vec![Value::bytes(&salt)])
}

/// AuthenticationSASL.
pub fn authentication_sasl<'a>(mechanisms: impl IntoIterator<Item = &'a str>) -> Message {
    let mechanisms = mechanisms
        .into_iter()
        .map(|name| Value::bytes(name.as_bytes()))
        .collect();
    message("AuthenticationSASL", vec![Value::List(mechanisms)])
}

/// AuthenticationSASLContinue.
pub fn authentication_sasl_continue(data: &[u8]) -> Message {
    message("AuthenticationSASLContinue", vec![Value::bytes(data)])
}

/// AuthenticationSASLFinal.
pub fn authentication_sasl_final(data: &[u8]) -> Message {
    message("AuthenticationSASLFinal", vec![Value::bytes(data)])
}

/// BackendKeyData.
pub fn backend_key_data(process: i32, key: &[u8]) -> Message {
    let process = Value::Integer(i64::from(process));
    message("BackendKeyData", vec![process, Value::bytes(key)])
}

/// BindComplete.
pub fn bind_complete() -> Message {
    message("BindComplete", vec![])
}

/// CloseComplete.
pub fn close_complete() -> Message {
    message("CloseComplete", vec![])
}

/// CommandComplete.
pub fn command_complete(tag: &str) -> Message {
    message("CommandComplete", vec![Value::bytes(tag.as_bytes())])
}

/// CopyData.
pub fn copy_data(data: &[u8]) -> Message {
    message("CopyData", vec![Value::bytes(data)])
}

/// CopyDone.
pub fn copy_done() -> Message {
    message("CopyDone", vec![])
}

/// CopyInResponse of binary columns.
pub fn copy_in_response(columns: usize) -> Message {
    message("CopyInResponse", copy_response(columns))
}

/// CopyOutResponse of binary columns.
pub fn copy_out_response(columns: usize) -> Message {
    message("CopyOutResponse", copy_response(columns))
}

/// DataRow; a value that is `None` is NULL.
pub fn data_row<'a>(values: impl IntoIterator<Item = Option<&'a [u8]>>) -> Message {
    let values = values
        .into_iter()
        .map(|value| value.map_or(Value::Null, Value::bytes))
        .collect();
    message("DataRow", vec![Value::List(values)])
}

/// EmptyQueryResponse.
pub fn empty_query_response() -> Message {
    message("EmptyQueryResponse", vec![])
}

/// ErrorResponse of severity ERROR.
pub fn error(code: &str, text: &str) -> Message {
    error_response(&[('S', "ERROR"), ('V', "ERROR"), ('C', code), ('M', text)])
}

/// ErrorResponse of severity FATAL.
pub fn fatal(code: &str, text: &str) -> Message {
    error_response(&[('S', "FATAL"), ('V', "FATAL"), ('C', code), ('M', text)])
}

/// ErrorResponse of these fields.
pub fn error_response(fields: &[(char, &str)]) -> Message {
    message("ErrorResponse", vec![codes(fields)])
}

/// NoticeResponse of these fields.
pub fn notice_response(fields: &[(char, &str)]) -> Message {
    message("NoticeResponse", vec![codes(fields)])
}

/// NegotiateProtocolVersion.
pub fn negotiate_protocol_version<'a>(
    newest: i32,
    unknown: impl IntoIterator<Item = &'a str>,
) -> Message {
    let unknown = unknown
        .into_iter()
        .map(|name| Value::bytes(name.as_bytes()))
        .collect();
    let newest = Value::Integer(i64::from(newest));
    message(
        "NegotiateProtocolVersion",
        vec![newest, Value::List(unknown)],
    )
}

/// NoData.
pub fn no_data() -> Message {
    message("NoData", vec![])
}

/// NotificationResponse.
pub fn notification_response(process: i32, channel: &str, payload: &str) -> Message {
    let process = Value::Integer(i64::from(process));
    let channel = Value::bytes(channel.as_bytes());
    let payload = Value::bytes(payload.as_bytes());
    message("NotificationResponse", vec![process, channel, payload])
}

/// ParameterDescription.
pub fn parameter_description(types: &[u32]) -> Message {
    let types = types
        .iter()
        .map(|oid| Value::Integer(i64::from(*oid)))
        .collect();
    message("ParameterDescription", vec![Value::List(types)])
}

/// ParameterStatus.
pub fn parameter_status(name: &str, value: &str) -> Message {
    let fields = [name, value].map(|text| Value::bytes(text.as_bytes()));
    message("ParameterStatus", fields.into())
}

/// ParseComplete.
pub fn parse_complete() -> Message {
    message("ParseComplete", vec![])
}

/// PortalSuspended.
pub fn portal_suspended() -> Message {
    message("PortalSuspended", vec![])
}

/// ReadyForQuery, with `I`, `T` or `E`.
pub fn ready_for_query(status: char) -> Message {
    message(
        "ReadyForQuery",
        vec![Value::Integer(i64::from(u32::from(status)))],
    )
}

/// RowDescription.
pub fn row_description(columns: &[Column<'_>]) -> Message {
    let columns = columns
        .iter()
        .map(|column| {
            Value::Tuple(vec![
                Value::bytes(column.name),
                Value::Integer(i64::from(column.table)),
                Value::Integer(i64::from(column.attribute)),
                Value::Integer(i64::from(column.type_oid)),
                Value::Integer(i64::from(column.type_size)),
                Value::Integer(i64::from(column.type_modifier)),
                Value::Integer(i64::from(column.format)),
            ])
        })
        .collect();
    message("RowDescription", vec![Value::List(columns)])
}

/// The one byte that answers an SSLRequest.
pub fn ssl_response(answer: char) -> Message {
    message(
        "SSLResponse",
        vec![Value::Integer(i64::from(u32::from(answer)))],
    )
}

/// Bytes as they are.
pub fn raw(bytes: &[u8]) -> Message {
    message("raw", vec![Value::bytes(bytes)])
}

/// A tag and a body of any kind, under the right length.
pub fn tagged(tag: u8, body: &[u8]) -> Message {
    let tag = Value::Integer(i64::from(tag));
    message("message", vec![tag, Value::bytes(body)])
}

/// A tag, the length that it announces, and the bytes that really follow.
pub fn framed(tag: u8, length: i32, body: &[u8]) -> Message {
    let tag = Value::Integer(i64::from(tag));
    let length = Value::Integer(i64::from(length));
    message("framed", vec![tag, length, Value::bytes(body)])
}

fn message(name: &str, values: Vec<Value>) -> Message {
    Message::new(Side::Backend, name, values)
}

fn copy_response(columns: usize) -> Vec<Value> {
    let formats = vec![Value::Integer(1); columns];
    vec![Value::Integer(1), Value::List(formats)]
}

fn codes(fields: &[(char, &str)]) -> Value {
    let field = |(code, text): &(char, &str)| Value::pair(&code.to_string(), text.as_bytes());
    Value::List(fields.iter().map(field).collect())
}
