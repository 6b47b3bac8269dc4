//! Every message of the protocol, as a table: its name, its tag and its fields.
//!
//! Source: PostgreSQL manual, "Message Formats".

/// The layout of one message.
#[derive(Debug)]
pub struct Schema {
    /// The name in the manual.
    pub name: &'static str,
    /// What stands before the fields.
    pub head: Head,
    /// The fields, in order.
    pub fields: &'static [Field],
}

/// What stands before the fields of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// A letter and the length.
    Tag(u8),
    /// The letter `R`, the length, and which request or answer it is.
    Authentication(i32),
    /// The length alone, with this code after it.
    Code(i32),
    /// The length alone: only the startup message, whose first field is its version.
    Length,
    /// Nothing.
    None,
}

/// The layout of one field.
#[derive(Debug)]
pub enum Field {
    /// One byte, written as a letter.
    Byte,
    /// One byte, written as a number.
    Int8,
    /// Two bytes, with a sign.
    Int16,
    /// Four bytes, with a sign.
    Int32,
    /// Four bytes without a sign, written as the name of a type where it is one.
    Oid,
    /// Four bytes, written `3.0`.
    Version,
    /// Bytes up to a NUL.
    Text,
    /// As many bytes.
    Fixed(usize),
    /// The bytes up to the end of the message.
    Rest,
    /// A length of four bytes, and so many bytes; the length −1 is `null`.
    Value,
    /// A length of four bytes that counts itself, and the bytes: the body of any message.
    Body,
    /// A count of two bytes, and so many items of these fields.
    List16(&'static [Field]),
    /// A count of four bytes, and so many items of these fields.
    List32(&'static [Field]),
    /// Texts up to an empty one.
    Texts,
    /// Pairs of texts up to an empty key, written `key="value"`.
    Pairs,
    /// Pairs of a letter and a text up to the letter NUL, written `C=42601`.
    Codes,
}

impl Field {
    /// Whether the field takes every argument that is left on the line.
    pub fn takes_the_rest(&self) -> bool {
        matches!(self, Self::Pairs | Self::Codes)
    }
}

/// Who sends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client, `F`.
    Frontend,
    /// The server, `B`.
    Backend,
}

impl Side {
    /// The letter that starts its lines.
    pub fn letter(self) -> char {
        match self {
            Self::Frontend => 'F',
            Self::Backend => 'B',
        }
    }
}

/// The message of this name.
pub fn by_name(side: Side, name: &str) -> Option<&'static Schema> {
    let own = match side {
        Side::Frontend => FRONTEND,
        Side::Backend => BACKEND,
    };
    own.iter().chain(EITHER).find(|schema| schema.name == name)
}

/// The messages of a side that start so.
pub fn by_head(side: Side, head: Head) -> impl Iterator<Item = &'static Schema> {
    let own = match side {
        Side::Frontend => FRONTEND,
        Side::Backend => BACKEND,
    };
    own.iter().filter(move |schema| schema.head == head)
}

/// The message that stands for bytes of any kind.
pub fn raw() -> &'static Schema {
    &EITHER[0]
}

/// The message that stands for a tag and a body of any kind.
pub fn message() -> &'static Schema {
    &EITHER[1]
}

/// The name of a type, if it has one here.
pub fn type_name(oid: u32) -> Option<&'static str> {
    TYPES
        .iter()
        .find_map(|(known, name)| (*known == oid).then_some(*name))
}

/// The OID of a type that has a name here.
pub fn type_oid(name: &str) -> Option<u32> {
    TYPES
        .iter()
        .find_map(|(oid, known)| (*known == name).then_some(*oid))
}

/// The code of a CancelRequest.
pub const CANCEL_REQUEST_CODE: i32 = 80_877_102;
/// The code of an SSLRequest.
pub const SSL_REQUEST_CODE: i32 = 80_877_103;
/// The code of a GSSENCRequest.
pub const GSSENC_REQUEST_CODE: i32 = 80_877_104;

const fn tagged(name: &'static str, tag: u8, fields: &'static [Field]) -> Schema {
    Schema {
        name,
        head: Head::Tag(tag),
        fields,
    }
}

const fn authentication(name: &'static str, code: i32, fields: &'static [Field]) -> Schema {
    Schema {
        name,
        head: Head::Authentication(code),
        fields,
    }
}

const fn coded(name: &'static str, code: i32, fields: &'static [Field]) -> Schema {
    Schema {
        name,
        head: Head::Code(code),
        fields,
    }
}

const fn bare(name: &'static str, fields: &'static [Field]) -> Schema {
    Schema {
        name,
        head: Head::None,
        fields,
    }
}

const COPY_RESPONSE: &[Field] = &[Field::Int8, Field::List16(&[Field::Int16])];

const COLUMN: &[Field] = &[
    Field::Text,
    Field::Oid,
    Field::Int16,
    Field::Oid,
    Field::Int16,
    Field::Int32,
    Field::Int16,
];

static FRONTEND: &[Schema] = &[
    tagged(
        "Bind",
        b'B',
        &[
            Field::Text,
            Field::Text,
            Field::List16(&[Field::Int16]),
            Field::List16(&[Field::Value]),
            Field::List16(&[Field::Int16]),
        ],
    ),
    tagged("Close", b'C', &[Field::Byte, Field::Text]),
    tagged("CopyData", b'd', &[Field::Rest]),
    tagged("CopyDone", b'c', &[]),
    tagged("CopyFail", b'f', &[Field::Text]),
    tagged("Describe", b'D', &[Field::Byte, Field::Text]),
    tagged("Execute", b'E', &[Field::Text, Field::Int32]),
    tagged("Flush", b'H', &[]),
    tagged(
        "FunctionCall",
        b'F',
        &[
            Field::Oid,
            Field::List16(&[Field::Int16]),
            Field::List16(&[Field::Value]),
            Field::Int16,
        ],
    ),
    tagged(
        "Parse",
        b'P',
        &[Field::Text, Field::Text, Field::List16(&[Field::Oid])],
    ),
    // Four messages share the letter `p`: the last request of the server tells them apart.
    tagged("PasswordMessage", b'p', &[Field::Text]),
    tagged("SASLInitialResponse", b'p', &[Field::Text, Field::Value]),
    tagged("SASLResponse", b'p', &[Field::Rest]),
    tagged("GSSResponse", b'p', &[Field::Rest]),
    tagged("Query", b'Q', &[Field::Text]),
    tagged("Sync", b'S', &[]),
    tagged("Terminate", b'X', &[]),
    coded(
        "CancelRequest",
        CANCEL_REQUEST_CODE,
        &[Field::Int32, Field::Rest],
    ),
    coded("SSLRequest", SSL_REQUEST_CODE, &[]),
    coded("GSSENCRequest", GSSENC_REQUEST_CODE, &[]),
    Schema {
        name: "StartupMessage",
        head: Head::Length,
        fields: &[Field::Version, Field::Pairs],
    },
];

static BACKEND: &[Schema] = &[
    authentication("AuthenticationOk", 0, &[]),
    authentication("AuthenticationKerberosV5", 2, &[]),
    authentication("AuthenticationCleartextPassword", 3, &[]),
    authentication("AuthenticationMD5Password", 5, &[Field::Fixed(4)]),
    authentication("AuthenticationGSS", 7, &[]),
    authentication("AuthenticationGSSContinue", 8, &[Field::Rest]),
    authentication("AuthenticationSSPI", 9, &[]),
    authentication("AuthenticationSASL", 10, &[Field::Texts]),
    authentication("AuthenticationSASLContinue", 11, &[Field::Rest]),
    authentication("AuthenticationSASLFinal", 12, &[Field::Rest]),
    tagged("BackendKeyData", b'K', &[Field::Int32, Field::Rest]),
    tagged("BindComplete", b'2', &[]),
    tagged("CloseComplete", b'3', &[]),
    tagged("CommandComplete", b'C', &[Field::Text]),
    tagged("CopyData", b'd', &[Field::Rest]),
    tagged("CopyDone", b'c', &[]),
    tagged("CopyInResponse", b'G', COPY_RESPONSE),
    tagged("CopyOutResponse", b'H', COPY_RESPONSE),
    tagged("CopyBothResponse", b'W', COPY_RESPONSE),
    tagged("DataRow", b'D', &[Field::List16(&[Field::Value])]),
    tagged("EmptyQueryResponse", b'I', &[]),
    tagged("ErrorResponse", b'E', &[Field::Codes]),
    tagged("FunctionCallResponse", b'V', &[Field::Value]),
    tagged(
        "NegotiateProtocolVersion",
        b'v',
        &[Field::Int32, Field::List32(&[Field::Text])],
    ),
    tagged("NoData", b'n', &[]),
    tagged("NoticeResponse", b'N', &[Field::Codes]),
    tagged(
        "NotificationResponse",
        b'A',
        &[Field::Int32, Field::Text, Field::Text],
    ),
    tagged(
        "ParameterDescription",
        b't',
        &[Field::List16(&[Field::Oid])],
    ),
    tagged("ParameterStatus", b'S', &[Field::Text, Field::Text]),
    tagged("ParseComplete", b'1', &[]),
    tagged("PortalSuspended", b's', &[]),
    tagged("ReadyForQuery", b'Z', &[Field::Byte]),
    tagged("RowDescription", b'T', &[Field::List16(COLUMN)]),
    // The one byte that answers an SSLRequest or a GSSENCRequest.
    bare("SSLResponse", &[Field::Byte]),
];

static EITHER: &[Schema] = &[
    // Bytes as they are.
    bare("raw", &[Field::Rest]),
    // A tag and a body of any kind, under the right length.
    bare("message", &[Field::Byte, Field::Body]),
    // A tag, the length that it announces, and the bytes that really follow.
    bare("framed", &[Field::Byte, Field::Int32, Field::Rest]),
    // The end of the stream: no bytes, then a FIN.
    bare("eof", &[]),
];

// Source: src/include/catalog/pg_type.dat of the server.
static TYPES: &[(u32, &str)] = &[
    (16, "bool"),
    (17, "bytea"),
    (18, "char"),
    (19, "name"),
    (20, "int8"),
    (21, "int2"),
    (23, "int4"),
    (24, "regproc"),
    (25, "text"),
    (26, "oid"),
    (27, "tid"),
    (28, "xid"),
    (114, "json"),
    (142, "xml"),
    (600, "point"),
    (601, "lseg"),
    (602, "path"),
    (603, "box"),
    (604, "polygon"),
    (650, "cidr"),
    (700, "float4"),
    (701, "float8"),
    (705, "unknown"),
    (718, "circle"),
    (790, "money"),
    (829, "macaddr"),
    (869, "inet"),
    (1000, "_bool"),
    (1001, "_bytea"),
    (1005, "_int2"),
    (1007, "_int4"),
    (1009, "_text"),
    (1016, "_int8"),
    (1021, "_float4"),
    (1022, "_float8"),
    (1034, "_aclitem"),
    (1042, "bpchar"),
    (1043, "varchar"),
    (1082, "date"),
    (1083, "time"),
    (1114, "timestamp"),
    (1184, "timestamptz"),
    (1186, "interval"),
    (1266, "timetz"),
    (1560, "bit"),
    (1562, "varbit"),
    (1700, "numeric"),
    (2205, "regclass"),
    (2249, "record"),
    (2278, "void"),
    (2950, "uuid"),
    (2951, "_uuid"),
    (3802, "jsonb"),
    (3904, "int4range"),
];
