use super::message::{Message, Value};
use super::schema::Side;

/// The message of this line, such as `Query "select 1"`.
///
/// # Panics
///
/// If the line cannot be read.
pub fn line(line: &str) -> Message {
    Message::parse(Side::Frontend, line).unwrap_or_else(|why| panic!("{line}: {why}"))
}

/// StartupMessage of protocol 3.0.
pub fn startup(parameters: &[(&str, &str)]) -> Message {
    let pairs = parameters
        .iter()
        .map(|(key, value)| Value::pair(key, value.as_bytes()))
        .collect();
    message(
        "StartupMessage",
        vec![Value::Integer(3 << 16), Value::List(pairs)],
    )
}

/// SSLRequest.
pub fn ssl_request() -> Message {
    message("SSLRequest", vec![])
}

/// CancelRequest.
pub fn cancel_request(process: i32, key: &[u8]) -> Message {
    let process = Value::Integer(i64::from(process));
    message("CancelRequest", vec![process, Value::bytes(key)])
}

/// PasswordMessage.
pub fn password(password: &[u8]) -> Message {
    message("PasswordMessage", vec![Value::bytes(password)])
}

/// SASLInitialResponse.
pub fn sasl_initial_response(mechanism: &str, response: &[u8]) -> Message {
    let fields = [mechanism.as_bytes(), response].map(Value::bytes);
    message("SASLInitialResponse", fields.into())
}

/// SASLResponse.
pub fn sasl_response(response: &[u8]) -> Message {
    message("SASLResponse", vec![Value::bytes(response)])
}

/// Query.
pub fn query(sql: &str) -> Message {
    message("Query", vec![Value::bytes(sql.as_bytes())])
}

/// Sync.
pub fn sync() -> Message {
    message("Sync", vec![])
}

/// Terminate.
pub fn terminate() -> Message {
    message("Terminate", vec![])
}

/// Bytes as they are.
pub fn raw(bytes: &[u8]) -> Message {
    message("raw", vec![Value::bytes(bytes)])
}

fn message(name: &str, values: Vec<Value>) -> Message {
    Message::new(Side::Frontend, name, values)
}
