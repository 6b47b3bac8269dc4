//! `#[kornak(…)]`: what may stand in it where, and what is said of the rest.

use proc_macro2::Span;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::parse::Parse;
use syn::spanned::Spanned;
use syn::{Attribute, LitStr, Path};

use crate::names::{RenameRule, nearest};

/// The attributes of a struct or enum.
#[derive(Default)]
pub(crate) struct Container {
    krate: Option<Path>,
    pub(crate) rename_all: Option<(RenameRule, Span)>,
    /// The name of the PostgreSQL type.
    pub(crate) name: Option<LitStr>,
    pub(crate) transparent: Option<Span>,
}

/// The attributes of a field.
#[derive(Default)]
pub(crate) struct Field {
    pub(crate) rename: Option<LitStr>,
    pub(crate) default: Option<Default>,
    pub(crate) skip: Option<Span>,
    pub(crate) flatten: Option<Span>,
    /// What stands in front of the names of the columns of a flattened field.
    pub(crate) prefix: Option<LitStr>,
}

/// The attributes of a variant.
#[derive(Default)]
pub(crate) struct Variant {
    pub(crate) rename: Option<LitStr>,
}

/// What a field is where nothing is read into it.
pub(crate) struct Default {
    pub(crate) span: Span,
    /// The function to call, instead of `Default::default`.
    pub(crate) path: Option<Path>,
}

/// Everything that is wrong, so that it is all told at once.
#[derive(Default)]
pub(crate) struct Errors(Option<syn::Error>);

/// What an attribute stands on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Container,
    Field,
    Variant,
}

/// Each key, and where it may stand.
const KEYS: &[(&str, &[Place])] = &[
    ("crate", &[Place::Container]),
    ("name", &[Place::Container]),
    ("rename_all", &[Place::Container]),
    ("transparent", &[Place::Container]),
    ("rename", &[Place::Field, Place::Variant]),
    ("default", &[Place::Field]),
    ("skip", &[Place::Field]),
    ("flatten", &[Place::Field]),
    ("prefix", &[Place::Field]),
];

impl Container {
    pub(crate) fn parse(attributes: &[Attribute], errors: &mut Errors) -> Self {
        let mut this = Self::default();
        parse(
            attributes,
            Place::Container,
            errors,
            |key, meta| match key {
                "crate" => once(&mut this.krate, path(meta)?, meta),
                "name" => once(&mut this.name, text(meta)?, meta),
                "rename_all" => {
                    let rule = meta.value()?.parse::<LitStr>()?;
                    let found = RenameRule::parse(&rule)?;
                    once(&mut this.rename_all, (found, meta.path.span()), meta)
                }
                _ => once(&mut this.transparent, flag(meta)?, meta),
            },
        );
        this
    }

    /// The path to the crate in generated code.
    pub(crate) fn krate(&self) -> proc_macro2::TokenStream {
        match &self.krate {
            Some(path) => quote!(#path),
            None => quote!(::kornak),
        }
    }
}

impl Field {
    pub(crate) fn parse(attributes: &[Attribute], errors: &mut Errors) -> Self {
        let mut this = Self::default();
        parse(attributes, Place::Field, errors, |key, meta| match key {
            "rename" => once(&mut this.rename, text(meta)?, meta),
            "default" => {
                let span = meta.path.span();
                let path = if meta.input.peek(syn::Token![=]) {
                    Some(path(meta)?)
                } else {
                    flag(meta)?;
                    None
                };
                once(&mut this.default, Default { span, path }, meta)
            }
            "skip" => once(&mut this.skip, flag(meta)?, meta),
            "flatten" => once(&mut this.flatten, flag(meta)?, meta),
            _ => once(&mut this.prefix, text(meta)?, meta),
        });
        this.check(errors);
        this
    }

    /// Refuses attributes that contradict one another.
    fn check(&self, errors: &mut Errors) {
        if self.skip.is_some() {
            let reason = "a skipped field has no column";
            if let Some(rename) = &self.rename {
                errors.push(conflict(rename.span(), "rename", "skip", reason));
            }
            if let Some(flatten) = self.flatten {
                errors.push(conflict(flatten, "flatten", "skip", reason));
            }
            if let Some(default) = self.default.as_ref().filter(|it| it.path.is_none()) {
                errors.push(syn::Error::new(
                    default.span,
                    "a skipped field is `Default::default()` already; \
                     `default = path` would call another function",
                ));
            }
        }
        if self.flatten.is_some() {
            let reason = "a flattened field has no column of its own";
            if let Some(rename) = &self.rename {
                errors.push(conflict(rename.span(), "rename", "flatten", reason));
            }
            if let Some(default) = &self.default {
                errors.push(conflict(default.span, "default", "flatten", reason));
            }
        } else if let Some(prefix) = &self.prefix {
            errors.push(syn::Error::new(
                prefix.span(),
                "`prefix` is for the columns of a flattened field; write `flatten` beside it",
            ));
        }
    }
}

impl Variant {
    pub(crate) fn parse(attributes: &[Attribute], errors: &mut Errors) -> Self {
        let mut this = Self::default();
        parse(attributes, Place::Variant, errors, |_, meta| {
            once(&mut this.rename, text(meta)?, meta)
        });
        this
    }
}

impl Errors {
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// # Errors
    ///
    /// All that were pushed.
    pub(crate) fn finish(self) -> syn::Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Container => "a struct or enum",
            Self::Field => "a field",
            Self::Variant => "a variant",
        }
    }
}

/// Gives each key that may stand here to `take`.
fn parse(
    attributes: &[Attribute],
    place: Place,
    errors: &mut Errors,
    mut take: impl FnMut(&'static str, &ParseNestedMeta<'_>) -> syn::Result<()>,
) {
    for attribute in attributes {
        if !attribute.path().is_ident("kornak") {
            continue;
        }
        let parsed = attribute.parse_nested_meta(|meta| {
            let key = KEYS.iter().find(|(key, _)| meta.path.is_ident(key));
            match key {
                Some((key, places)) if places.contains(&place) => take(key, &meta),
                Some((key, places)) => Err(meta.error(misplaced(key, places, place))),
                None => Err(meta.error(unknown(&meta.path, place))),
            }
        });
        if let Err(error) = parsed {
            errors.push(error);
        }
    }
}

fn once<T>(slot: &mut Option<T>, value: T, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    if slot.is_some() {
        let key = display(&meta.path);
        return Err(meta.error(format!("`{key}` is given twice")));
    }
    *slot = Some(value);
    Ok(())
}

/// A key without a value.
fn flag(meta: &ParseNestedMeta<'_>) -> syn::Result<Span> {
    if meta.input.peek(syn::Token![=]) {
        let key = display(&meta.path);
        return Err(meta.error(format!("`{key}` takes no value")));
    }
    Ok(meta.path.span())
}

fn text(meta: &ParseNestedMeta<'_>) -> syn::Result<LitStr> {
    let text: LitStr = meta.value()?.parse()?;
    if text.value().is_empty() {
        return Err(syn::Error::new(text.span(), "a name can't be empty"));
    }
    Ok(text)
}

/// A path, in quotes or without.
fn path(meta: &ParseNestedMeta<'_>) -> syn::Result<Path> {
    let value = meta.value()?;
    if value.peek(LitStr) {
        let text: LitStr = value.parse()?;
        text.parse_with(Path::parse_mod_style)
    } else if value.peek(syn::Token![crate]) {
        value.call(Path::parse_mod_style)
    } else {
        value.call(Path::parse)
    }
}

fn conflict(span: Span, key: &str, other: &str, reason: &str) -> syn::Error {
    syn::Error::new(
        span,
        format!("`{key}` and `{other}` exclude each other: {reason}"),
    )
}

fn misplaced(key: &str, places: &[Place], here: Place) -> String {
    let places: Vec<_> = places.iter().map(|place| place.name()).collect();
    format!(
        "`{key}` stands on {}, not on {}",
        places.join(" or "),
        here.name()
    )
}

fn unknown(path: &Path, place: Place) -> String {
    let given = display(path);
    let here: Vec<&str> = KEYS
        .iter()
        .filter(|(_, places)| places.contains(&place))
        .map(|(key, _)| *key)
        .collect();
    let all: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
    match nearest(&given, &here).or_else(|| nearest(&given, &all)) {
        Some(near) => format!("unknown attribute `{given}`; did you mean `{near}`?"),
        None => format!(
            "unknown attribute `{given}`; {} takes `{}`",
            place.name(),
            here.join("`, `")
        ),
    }
}

fn display(path: &Path) -> String {
    quote!(#path).to_string().replace(' ', "")
}
