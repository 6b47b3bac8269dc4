//! PostgreSQL's types: their OIDs, names and shapes. Knows nothing of values.
//!
//! The types that every server has are constants; what a database adds (enums, domains,
//! composites, extensions) is described by whoever has read its catalogue.

mod builtin;
mod format;
mod table;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};

pub(crate) use self::builtin::array_oid;
pub use self::builtin::oid;
pub use self::format::Format;

/// How deep custom types may nest: an array of a composite with a domain in it is three.
///
/// The server sets no limit of its own; this one keeps a catalogue that lies from
/// overflowing the stack.
pub const MAX_DEPTH: u16 = 64;

/// What lies between the elements of nearly all arrays in text form.
const COMMA: u8 = b',';

/// A type of PostgreSQL.
///
/// Cloning is cheap: a built-in type is a pointer to static data, a custom one a counted
/// reference. Two types are equal when their OIDs are equal and, for custom types, when
/// their descriptions are too: an enum that has gained a label is another type.
///
/// # Example
///
/// ```
/// use kornak::types::{Kind, Type, oid};
///
/// let ty = Type::from_oid(oid::INT4_ARRAY).unwrap();
/// assert_eq!(ty.name(), "_int4");
/// assert_eq!(ty.element(), Some(&Type::INT4));
/// assert_eq!(Type::INT4.array_of(), Some(ty));
/// ```
#[derive(Clone)]
pub struct Type(Repr);

#[derive(Clone)]
enum Repr {
    Builtin(&'static TypeInfo),
    Custom(Arc<TypeInfo>),
}

/// What a type is made of.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// A type without parts that the driver could look into.
    Simple,
    /// A type that only functions take or return.
    Pseudo,
    /// One of these labels, in their order.
    Enum(Vec<Box<str>>),
    /// An array of any number of dimensions over this element type.
    Array(Type),
    /// A range over this subtype.
    Range(Type),
    /// A set of ranges of this range type.
    Multirange(Type),
    /// A restricted form of this type, with the same values on the wire.
    Domain(Type),
    /// A row of these columns.
    Composite(Vec<Field>),
}

/// One column of a composite type.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The column's name, which the fields of all values of the type share.
    pub name: Arc<str>,
    /// The column's type.
    pub ty: Type,
}

/// Types of widespread extensions, known by their name because their OIDs differ from
/// database to database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extension {
    None,
    Citext,
    Hstore,
    Ltree,
    Lquery,
    Ltxtquery,
    Cube,
    Vector,
    Halfvec,
    Sparsevec,
}

#[derive(Clone)]
struct TypeInfo {
    oid: u32,
    /// The OID of the array type over this one, or 0.
    array: u32,
    depth: u16,
    has_binary_output: bool,
    has_binary_input: bool,
    /// What lies between the elements of arrays of this type in text form.
    delimiter: u8,
    extension: Extension,
    kind: Kind,
    name: Cow<'static, str>,
    schema: Cow<'static, str>,
}

impl Type {
    /// Describes a type that is not built in.
    ///
    /// `has_binary_output` and `has_binary_input` say whether `pg_type.typsend` and
    /// `typreceive` are set; what the type is made of must have them too.
    ///
    /// # Errors
    ///
    /// If `kind` nests deeper than [`MAX_DEPTH`].
    pub fn custom(
        oid: u32,
        schema: &str,
        name: &str,
        kind: Kind,
        has_binary_output: bool,
        has_binary_input: bool,
    ) -> Result<Self> {
        let parts = kind.parts();
        let depth = parts.map(|part| part.info().depth).max().unwrap_or(0) + 1;
        if depth > MAX_DEPTH {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("the type {name} nests deeper than {MAX_DEPTH} levels"),
            ));
        }
        let output = has_binary_output && kind.parts().all(Type::has_binary_output);
        let input = has_binary_input && kind.parts().all(Type::has_binary_input);
        Ok(Self(Repr::Custom(Arc::new(TypeInfo {
            oid,
            array: 0,
            depth,
            has_binary_output: output,
            has_binary_input: input,
            delimiter: match &kind {
                Kind::Array(inner) | Kind::Domain(inner) => inner.delimiter(),
                _ => COMMA,
            },
            extension: match kind {
                Kind::Simple => Extension::from_name(name),
                _ => Extension::None,
            },
            kind,
            name: Cow::Owned(name.into()),
            schema: Cow::Owned(schema.into()),
        }))))
    }

    /// Stands for an OID that has not been looked up, or that the catalogue doesn't have.
    pub fn unknown(oid: u32) -> Self {
        Self(Repr::Custom(Arc::new(TypeInfo {
            oid,
            array: 0,
            depth: 1,
            has_binary_output: true,
            has_binary_input: true,
            delimiter: COMMA,
            extension: Extension::None,
            kind: Kind::Simple,
            name: Cow::Owned(format!("type with OID {oid}")),
            schema: Cow::Borrowed(""),
        })))
    }

    /// The same type with another [`delimiter`](Self::delimiter), for one that
    /// [`custom`](Self::custom) describes. A built-in type has the one that it has.
    #[must_use = "the type itself is not changed"]
    pub fn with_delimiter(mut self, delimiter: u8) -> Self {
        if let Repr::Custom(info) = &mut self.0 {
            Arc::make_mut(info).delimiter = delimiter;
        }
        self
    }

    /// The OID, `pg_type.oid`.
    #[inline]
    pub fn oid(&self) -> u32 {
        self.info().oid
    }

    /// The name as the catalogue has it, `pg_type.typname`: `int4`, not `integer`.
    pub fn name(&self) -> &str {
        &self.info().name
    }

    /// The name of the schema that the type is in.
    pub fn schema(&self) -> &str {
        &self.info().schema
    }

    /// What the type is made of.
    #[inline]
    pub fn kind(&self) -> &Kind {
        &self.info().kind
    }

    /// The element type of an array, the subtype of a range, the range type of a
    /// multirange.
    #[inline]
    pub fn element(&self) -> Option<&Type> {
        match self.kind() {
            Kind::Array(element) | Kind::Range(element) | Kind::Multirange(element) => {
                Some(element)
            }
            _ => None,
        }
    }

    /// The type of arrays of this one, for built-in types.
    pub fn array_of(&self) -> Option<Type> {
        match self.info().array {
            0 => None,
            oid => Type::from_oid(oid),
        }
    }

    /// The type that the values have on the wire: looks through domains.
    #[inline]
    pub fn base(&self) -> &Type {
        let mut ty = self;
        while let Kind::Domain(inner) = ty.kind() {
            ty = inner;
        }
        ty
    }

    /// Whether the server can send values of this type in binary.
    pub fn has_binary_output(&self) -> bool {
        self.info().has_binary_output
    }

    /// Whether the server can receive values of this type in binary.
    pub fn has_binary_input(&self) -> bool {
        self.info().has_binary_input
    }

    /// The byte between the elements of an array of this type in text form, `pg_type.typdelim`:
    /// a comma, but for `box` and for base types that were created with a `DELIMITER` of their
    /// own. A domain and an array have that of what they are made of.
    ///
    /// ```
    /// use kornak::Type;
    ///
    /// assert_eq!(Type::INT4.delimiter(), b',');
    /// assert_eq!(Type::BOX.delimiter(), b';');
    /// ```
    pub fn delimiter(&self) -> u8 {
        self.info().delimiter
    }

    /// Whether the catalogue says the same of both, apart from what it says of their parts,
    /// of which only the OIDs are compared: equality looks into them, which for types that are
    /// made of the same part many times over and over takes for ever.
    pub(crate) fn is_described_as(&self, other: &Self) -> bool {
        let (a, b) = (self.info(), other.info());
        let parts_of = |kind: &Kind| kind.parts().map(Type::oid).collect::<Vec<_>>();
        let is_alike = match (&a.kind, &b.kind) {
            (Kind::Enum(labels), Kind::Enum(others)) => labels == others,
            (Kind::Composite(fields), Kind::Composite(others)) => {
                let names = fields.iter().map(|field| &field.name);
                names.eq(others.iter().map(|field| &field.name))
            }
            (kind, other) => mem::discriminant(kind) == mem::discriminant(other),
        };
        is_alike
            && (a.oid, &a.schema, &a.name) == (b.oid, &b.schema, &b.name)
            && (a.has_binary_output, a.has_binary_input, a.delimiter)
                == (b.has_binary_output, b.has_binary_input, b.delimiter)
            && parts_of(&a.kind) == parts_of(&b.kind)
    }

    /// Whether the two are made of the same parts, though they lie apart.
    #[cold]
    #[inline(never)]
    fn is_made_as(&self, other: &Self) -> bool {
        self.is_same(other, &mut HashSet::new())
    }

    /// Whether both are the same in all their parts, apart from the pairs that were `compared`
    /// before: a difference between those has been found where they were.
    fn is_same(&self, other: &Self, compared: &mut HashSet<[*const TypeInfo; 2]>) -> bool {
        let (a, b) = (self.info(), other.info());
        if std::ptr::eq(a, b) {
            return true;
        }
        if (a.oid, &a.schema, &a.name) != (b.oid, &b.schema, &b.name) {
            return false;
        }
        match (&a.kind, &b.kind) {
            (Kind::Enum(labels), Kind::Enum(others)) => return labels == others,
            (Kind::Composite(fields), Kind::Composite(others)) => {
                let names = fields.iter().map(|field| &field.name);
                if !names.eq(others.iter().map(|field| &field.name)) {
                    return false;
                }
            }
            (kind, other) if mem::discriminant(kind) != mem::discriminant(other) => return false,
            _ => {}
        }
        let mut parts = a.kind.parts().zip(b.kind.parts()).peekable();
        parts.peek().is_none()
            || !compared.insert([a, b])
            || parts.all(|(part, other)| part.is_same(other, compared))
    }

    /// Which extension's type this is.
    #[inline]
    pub(crate) fn extension(&self) -> Extension {
        self.info().extension
    }

    #[inline]
    fn info(&self) -> &TypeInfo {
        match &self.0 {
            Repr::Builtin(info) => info,
            Repr::Custom(info) => info,
        }
    }
}

/// Takes no longer than the two types have parts, however many times over they are made of the
/// same ones.
impl PartialEq for Type {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        // Codecs ask for each value that they write: most often it is the same built-in type, or
        // another one.
        let (a, b) = (self.info(), other.info());
        std::ptr::eq(a, b) || a.oid == b.oid && self.is_made_as(other)
    }
}

impl Eq for Type {}

impl Hash for Type {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.oid().hash(state);
    }
}

/// The name, with its schema unless that is `pg_catalog`. An array is shown as SQL has it,
/// `int4[]`, although its name is `_int4`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            // Not `int2vector` and `oidvector`, which have a name of their own.
            Kind::Array(element) if self.name().starts_with('_') => {
                return write!(f, "{element}[]");
            }
            _ => {}
        }
        match self.schema() {
            "pg_catalog" | "" => f.write_str(self.name()),
            schema => write!(f, "{schema}.{}", self.name()),
        }
    }
}

impl fmt::Debug for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Type({self})")
    }
}

impl Kind {
    /// The types that this one directly consists of.
    fn parts(&self) -> impl Iterator<Item = &Type> {
        let (one, fields): (Option<&Type>, &[Field]) = match self {
            Kind::Simple | Kind::Pseudo | Kind::Enum(_) => (None, &[]),
            Kind::Array(ty) | Kind::Range(ty) | Kind::Multirange(ty) | Kind::Domain(ty) => {
                (Some(ty), &[])
            }
            Kind::Composite(fields) => (None, fields),
        };
        one.into_iter().chain(fields.iter().map(|field| &field.ty))
    }
}

impl Extension {
    fn from_name(name: &str) -> Self {
        match name {
            "citext" => Self::Citext,
            "hstore" => Self::Hstore,
            "ltree" => Self::Ltree,
            "lquery" => Self::Lquery,
            "ltxtquery" => Self::Ltxtquery,
            "cube" => Self::Cube,
            "vector" => Self::Vector,
            "halfvec" => Self::Halfvec,
            "sparsevec" => Self::Sparsevec,
            _ => Self::None,
        }
    }
}

impl TypeInfo {
    const fn builtin(
        oid: u32,
        name: &'static str,
        array: u32,
        kind: Kind,
        has_binary_output: bool,
        has_binary_input: bool,
    ) -> Self {
        Self {
            oid,
            array,
            depth: 1,
            has_binary_output,
            has_binary_input,
            delimiter: match oid {
                oid::BOX | oid::BOX_ARRAY => b';',
                _ => COMMA,
            },
            extension: Extension::None,
            kind,
            name: Cow::Borrowed(name),
            schema: Cow::Borrowed("pg_catalog"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(oid: u32, over: Type) -> Result<Type> {
        Type::custom(oid, "public", "d", Kind::Domain(over), true, true)
    }

    #[test]
    fn every_builtin_type_is_found_by_its_oid() {
        assert!(Type::BUILTIN.len() > 150);
        assert!(Type::BUILTIN.is_sorted_by_key(Type::oid));
        for ty in Type::BUILTIN {
            assert_eq!(Type::from_oid(ty.oid()).as_ref(), Some(ty));
            assert_eq!(ty.schema(), "pg_catalog");
            if let Some(array) = ty.array_of() {
                assert_eq!(array.element(), Some(ty), "{array}");
                assert_eq!(array_oid(ty.oid()), Some(array.oid()));
            }
        }
        assert_eq!(Type::from_oid(0), None);
        assert_eq!(Type::from_oid(u32::MAX), None);
    }

    #[test]
    fn what_lacks_binary_functions_taints_what_contains_it() {
        assert!(!Type::ACLITEM.has_binary_output());
        assert!(!Type::ACLITEM_ARRAY.has_binary_output());
        assert!(Type::INT4_ARRAY.has_binary_output());
        let fields = vec![Field {
            name: "acl".into(),
            ty: Type::ACLITEM_ARRAY,
        }];
        let row = Type::custom(70000, "public", "t", Kind::Composite(fields), true, true).unwrap();
        assert!(!row.has_binary_output() && !row.has_binary_input());
    }

    #[test]
    fn domains_are_looked_through() {
        let outer = domain(70001, domain(70000, Type::TEXT).unwrap()).unwrap();
        assert_eq!(outer.base(), &Type::TEXT);
        assert_eq!(outer.to_string(), "public.d");
        assert_eq!(Type::TEXT.base(), &Type::TEXT);
    }

    #[test]
    fn what_is_made_of_a_type_has_its_delimiter() {
        let simple = || Type::custom(70000, "public", "t", Kind::Simple, false, false).unwrap();
        assert_eq!(simple().delimiter(), b',');
        let ty = simple().with_delimiter(b'|');
        assert_eq!(ty.delimiter(), b'|');
        assert!(!ty.is_described_as(&simple()));
        let over = domain(70001, ty).unwrap();
        let array = Type::custom(70002, "public", "_d", Kind::Array(over), false, false).unwrap();
        assert_eq!(array.delimiter(), b'|');
        assert_eq!(domain(70003, Type::BOX_ARRAY).unwrap().delimiter(), b';');
        assert_eq!(Type::INT4.with_delimiter(b'|').delimiter(), b',');
    }

    #[test]
    fn arrays_are_shown_as_sql_has_them() {
        assert_eq!(Type::INT4_ARRAY.to_string(), "int4[]");
        assert_eq!(Type::INT2VECTOR.to_string(), "int2vector");
        assert_eq!(Type::INT2VECTOR_ARRAY.to_string(), "int2vector[]");
        let mood = Kind::Enum(vec!["glum".into()]);
        let mood = Type::custom(70000, "app", "mood", mood, true, true).unwrap();
        // A type that was called `_mood` before the array was.
        let array = Type::custom(70001, "app", "__mood", Kind::Array(mood), true, true).unwrap();
        assert_eq!(array.to_string(), "app.mood[]");
    }

    #[test]
    fn custom_types_differ_when_their_descriptions_do() {
        let labels = |labels: &[&str]| {
            let labels = labels.iter().map(|&label| label.into()).collect();
            Type::custom(70000, "public", "e", Kind::Enum(labels), true, true).unwrap()
        };
        assert_eq!(labels(&["a"]), labels(&["a"]));
        assert_ne!(labels(&["a"]), labels(&["a", "b"]));
        assert_ne!(Type::unknown(23), Type::INT4);
    }

    #[test]
    fn s29_types_that_use_each_other_many_times_are_compared_at_once() {
        let wide = |innermost: Type| {
            let mut ty = innermost;
            for oid in 70_000..70_060 {
                let field = |name: &str| Field {
                    name: name.into(),
                    ty: ty.clone(),
                };
                let fields = Kind::Composite(vec![field("a"), field("b"), field("c")]);
                ty = Type::custom(oid, "public", "t", fields, true, true).unwrap();
            }
            ty
        };
        assert!(wide(Type::TEXT).is_described_as(&wide(Type::TEXT)));
        assert!(!wide(Type::TEXT).is_described_as(&Type::unknown(70_059)));
        assert_eq!(wide(Type::TEXT), wide(Type::TEXT));
        assert_ne!(wide(Type::TEXT), wide(Type::INT4));
        assert_eq!(wide(Type::TEXT).kind(), wide(Type::TEXT).kind());
    }

    #[test]
    fn s29_nesting_is_bounded() {
        let mut ty = Type::TEXT;
        for oid in 0..u32::from(MAX_DEPTH) - 1 {
            ty = domain(70000 + oid, ty).unwrap();
        }
        let error = domain(80000, ty).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn formats_are_zero_and_one() {
        for code in -1..=2 {
            assert_eq!(
                Format::from_wire(code).map(Format::to_wire),
                (0..=1).contains(&code).then_some(code)
            );
        }
    }
}
