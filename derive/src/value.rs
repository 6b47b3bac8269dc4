//! What a type is as a value of PostgreSQL: an enum, a composite type, or a new name for
//! another Rust type.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DataEnum, DataStruct, DeriveInput, Fields, Ident, Index, LitStr, Member, Type};

use crate::attributes::{Container, Errors, Field, Variant};
use crate::generics::at;
use crate::names::{RenameRule, name_of};

/// A type that derives `Encode` or `Decode`.
pub(crate) struct Value<'i> {
    pub(crate) krate: TokenStream,
    /// `krate::derive_support`.
    pub(crate) support: TokenStream,
    /// The name of the PostgreSQL type, as an expression. A transparent type has none.
    pub(crate) name: TokenStream,
    pub(crate) shape: Shape<'i>,
}

pub(crate) enum Shape<'i> {
    /// Labels.
    Enum(Vec<Label<'i>>),
    /// Fields by name.
    Composite(Vec<Part<'i>>),
    /// The one field that isn't skipped, and those that are.
    Transparent {
        inner: Part<'i>,
        rest: Vec<Part<'i>>,
    },
}

/// One variant of an enum.
pub(crate) struct Label<'i> {
    pub(crate) variant: &'i Ident,
    pub(crate) text: String,
    /// The place of what names it.
    span: Span,
}

/// One field of a struct.
pub(crate) struct Part<'i> {
    pub(crate) member: Member,
    pub(crate) ty: &'i Type,
    pub(crate) attributes: Field,
    /// The name of the field in the composite type.
    pub(crate) name: String,
    /// What the field is called while the struct is put together.
    pub(crate) local: Ident,
}

impl<'i> Value<'i> {
    /// # Errors
    ///
    /// Everything that is wrong with the type or its attributes.
    pub(crate) fn of(input: &'i DeriveInput) -> syn::Result<Self> {
        let mut errors = Errors::default();
        let container = Container::parse(&input.attrs, &mut errors);
        let shape = match &input.data {
            Data::Struct(data) => Some(struct_shape(input, data, &container, &mut errors)),
            Data::Enum(data) => Some(enum_shape(input, data, &container, &mut errors)),
            Data::Union(data) => {
                errors.push(syn::Error::new(
                    data.union_token.span,
                    "a value of PostgreSQL is an enum or a struct in Rust, not a union",
                ));
                None
            }
        };
        let krate = container.krate();
        let support = quote!(#krate::derive_support);
        let name = match type_name(&container, &input.ident) {
            Ok((schema, name)) => {
                let schema = match schema {
                    Some(schema) => quote!(::core::option::Option::Some(#schema)),
                    None => quote!(::core::option::Option::None),
                };
                quote!(#support::TypeName::new(#schema, #name))
            }
            Err(error) => {
                errors.push(error);
                TokenStream::new()
            }
        };
        errors.finish()?;
        match shape.flatten() {
            Some(shape) => Ok(Self {
                krate,
                support,
                name,
                shape,
            }),
            // Whatever has no shape has told why.
            None => Err(syn::Error::new(input.ident.span(), "not a value")),
        }
    }
}

impl Part<'_> {
    pub(crate) fn is_skipped(&self) -> bool {
        self.attributes.skip.is_some()
    }

    /// What a skipped field is.
    pub(crate) fn skipped(&self) -> TokenStream {
        match self
            .attributes
            .default
            .as_ref()
            .and_then(|it| it.path.as_ref())
        {
            Some(path) => quote_spanned!(path.span()=> #path()),
            None => {
                let span = self.attributes.skip.unwrap_or_else(Span::call_site);
                quote_spanned!(at(span)=> ::core::default::Default::default())
            }
        }
    }

    /// The place of what names the field.
    fn name_span(&self) -> Span {
        match &self.attributes.rename {
            Some(rename) => rename.span(),
            None => self.member.span(),
        }
    }
}

fn enum_shape<'i>(
    input: &'i DeriveInput,
    data: &'i DataEnum,
    container: &Container,
    errors: &mut Errors,
) -> Option<Shape<'i>> {
    if let Some(span) = container.transparent {
        errors.push(syn::Error::new(
            span,
            "`transparent` is for a struct of one field, which it is sent and read like",
        ));
    }
    if data.variants.is_empty() {
        errors.push(syn::Error::new(
            input.ident.span(),
            "the enum has no variants that could be labels",
        ));
    }
    let rule = container.rename_all.map(|(rule, _)| rule);
    let mut labels: Vec<Label<'_>> = Vec::new();
    for variant in &data.variants {
        let attributes = Variant::parse(&variant.attrs, errors);
        if !matches!(variant.fields, Fields::Unit) {
            errors.push(syn::Error::new(
                variant.fields.span(),
                "the labels of an enum carry no data; a struct can be a composite type",
            ));
        }
        let rename = attributes.rename.as_ref();
        let label = Label {
            variant: &variant.ident,
            text: name_of(&variant.ident, rename, rule),
            span: rename.map_or(variant.ident.span(), LitStr::span),
        };
        match labels.iter().find(|other| other.text == label.text) {
            Some(other) => errors.push(syn::Error::new(
                label.span,
                format!(
                    "the label \"{}\" is that of the variant `{}` already",
                    label.text, other.variant
                ),
            )),
            None => labels.push(label),
        }
    }
    Some(Shape::Enum(labels))
}

fn struct_shape<'i>(
    input: &'i DeriveInput,
    data: &'i DataStruct,
    container: &Container,
    errors: &mut Errors,
) -> Option<Shape<'i>> {
    let rule = container.rename_all.map(|(rule, _)| rule);
    let mut parts = Vec::new();
    for (index, field) in data.fields.iter().enumerate() {
        let attributes = Field::parse(&field.attrs, errors);
        let (member, name) = match &field.ident {
            Some(ident) => (
                Member::Named(ident.clone()),
                name_of(ident, attributes.rename.as_ref(), rule),
            ),
            None => (Member::Unnamed(Index::from(index)), String::new()),
        };
        parts.push(Part {
            member,
            ty: &field.ty,
            attributes,
            name,
            local: format_ident!("__field_{}", index),
        });
    }
    if let Some(span) = container.transparent {
        return transparent_shape(span, parts, container, errors);
    }
    match &data.fields {
        Fields::Named(_) if !parts.is_empty() => {
            check_composite(&parts, errors);
            Some(Shape::Composite(parts))
        }
        Fields::Unnamed(_) if parts.len() == 1 => {
            errors.push(syn::Error::new(
                input.ident.span(),
                "a struct of one field without a name is sent and read like that field if it is \
                 marked `#[kornak(transparent)]`",
            ));
            None
        }
        Fields::Unnamed(_) if !parts.is_empty() => {
            errors.push(syn::Error::new(
                input.ident.span(),
                "the fields of a composite type are known by their names; give the struct's \
                 fields names",
            ));
            None
        }
        _ => {
            errors.push(syn::Error::new(
                input.ident.span(),
                "the struct has no fields that a value could be made of",
            ));
            None
        }
    }
}

fn transparent_shape<'i>(
    span: Span,
    parts: Vec<Part<'i>>,
    container: &Container,
    errors: &mut Errors,
) -> Option<Shape<'i>> {
    if let Some(name) = &container.name {
        errors.push(syn::Error::new(
            name.span(),
            "`name` and `transparent` exclude each other: a transparent type has that of its \
             field",
        ));
    }
    let (rest, mut inner): (Vec<_>, Vec<_>) = parts.into_iter().partition(Part::is_skipped);
    for Field {
        rename,
        default,
        flatten,
        ..
    } in inner.iter().map(|part| &part.attributes)
    {
        for (key, span) in [
            ("rename", rename.as_ref().map(LitStr::span)),
            ("default", default.as_ref().map(|it| it.span)),
            ("flatten", *flatten),
        ] {
            if let Some(span) = span {
                errors.push(syn::Error::new(
                    span,
                    format!("`{key}` has no effect in a transparent type"),
                ));
            }
        }
    }
    match (inner.pop(), inner.len()) {
        (Some(inner), 0) => Some(Shape::Transparent { inner, rest }),
        (last, others) => {
            let count = others + usize::from(last.is_some());
            errors.push(syn::Error::new(
                span,
                format!(
                    "a transparent type has one field that isn't skipped, this one has {count}"
                ),
            ));
            None
        }
    }
}

fn check_composite(parts: &[Part<'_>], errors: &mut Errors) {
    let mut seen: Vec<&Part<'_>> = Vec::new();
    for part in parts.iter().filter(|part| !part.is_skipped()) {
        if let Some(span) = part.attributes.flatten {
            errors.push(syn::Error::new(
                span,
                "`flatten` is for rows and parameters; a field of a composite type is one value, \
                 which may be composite itself",
            ));
        }
        match seen.iter().find(|other| other.name == part.name) {
            Some(other) => {
                let member = &other.member;
                errors.push(syn::Error::new(
                    part.name_span(),
                    format!(
                        "the name \"{}\" is that of the field `{}` already",
                        part.name,
                        quote!(#member)
                    ),
                ));
            }
            None => seen.push(part),
        }
    }
}

/// The schema and the name of the PostgreSQL type.
fn type_name(container: &Container, ident: &Ident) -> syn::Result<(Option<String>, String)> {
    let Some(name) = &container.name else {
        let name = RenameRule::Snake.apply(&ident.unraw().to_string());
        return Ok((None, name));
    };
    let refuse = |why: &str| Err(syn::Error::new(name.span(), why));
    let mut parts = match split_name(&name.value()) {
        Some(parts) => parts.into_iter(),
        None => return refuse("a name that begins with a quote has no closing one behind it"),
    };
    let (first, second, third) = (parts.next(), parts.next(), parts.next());
    match (first, second, third) {
        (Some(schema), Some(name), None) if !schema.is_empty() && !name.is_empty() => {
            Ok((Some(schema), name))
        }
        (Some(name), None, None) if !name.is_empty() => Ok((None, name)),
        _ => refuse(
            "the name of a type is \"name\" or \"schema.name\"; one with a dot in it is quoted: \
             \"schema.\\\"na.me\\\"\"",
        ),
    }
}

/// The parts of a name between its dots. A part that begins with a double quote ends with
/// one and may have dots in it; a double quote in it is doubled (manual, "Identifiers and Key
/// Words").
fn split_name(name: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = name;
    loop {
        let (part, behind) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        parts.push(part);
        if behind.is_empty() {
            return Some(parts);
        }
        rest = behind.strip_prefix('.')?;
    }
}

/// What stands before the closing quote, and what comes behind it.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = quoted;
    loop {
        let end = rest.find('"')?;
        part.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(behind) => {
                part.push('"');
                rest = behind;
            }
            None => return Some((part, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_at_dots_outside_of_quotes() {
        let check = |name: &str, parts: Option<&[&str]>| {
            let split = split_name(name);
            let split: Option<Vec<&str>> = split
                .as_ref()
                .map(|parts| parts.iter().map(String::as_str).collect());
            assert_eq!(split.as_deref(), parts, "{name}");
        };
        check("mood", Some(&["mood"]));
        check("Mood of the.day", Some(&["Mood of the", "day"]));
        check("\"a.b\".\"c\"\"d\"", Some(&["a.b", "c\"d"]));
        check("a.b.c", Some(&["a", "b", "c"]));
        check(".", Some(&["", ""]));
        check("a \"b\".c", Some(&["a \"b\"", "c"]));
        check("\"\"\"\"", Some(&["\""]));
        check("\"a", None);
        check("\"a\"b", None);
        check("", Some(&[""]));
    }
}
