//! `#[derive(FromRow)]`.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DataStruct, DeriveInput, Fields, Ident, Index, Lifetime, Member, Type};

use crate::attributes::{Container, Default, Errors, Field};
use crate::decode::default_function;
use crate::generics::{ImplGenerics, at, check_lifetime};
use crate::names::name_of;

/// One field of the struct.
struct Part<'i> {
    member: Member,
    ty: &'i Type,
    attributes: Field,
    /// The column's name, for a struct with named fields.
    column: String,
    /// What the field is called while the struct is put together.
    local: Ident,
}

pub(crate) fn derive(input: &DeriveInput) -> syn::Result<TokenStream> {
    let data = match &input.data {
        Data::Struct(data) => data,
        Data::Enum(data) => return Err(not_a_struct(data.enum_token.span, "an enum")),
        Data::Union(data) => return Err(not_a_struct(data.union_token.span, "a union")),
    };
    let mut errors = Errors::default();
    let container = Container::parse(&input.attrs, &mut errors);
    let parts = parts(data, &container, &mut errors);
    check_container(input, data, &container, &mut errors);
    for part in parts.iter().filter(|part| part.has_column()) {
        if let Err(error) = check_lifetime(part.ty) {
            errors.push(error);
        }
    }
    match &data.fields {
        Fields::Named(_) => check_names(&parts, &mut errors),
        Fields::Unnamed(_) => check_positions(&parts, &mut errors),
        Fields::Unit => {}
    }
    errors.finish()?;
    let krate = container.krate();
    let mut generics = ImplGenerics::new(&input.generics);
    let row = generics.row_lifetime();
    for part in &parts {
        let bound = match &part.attributes {
            Field { skip: Some(_), .. } => match part.attributes.default {
                Some(_) => continue,
                None => quote!(::core::default::Default),
            },
            Field {
                flatten: Some(_), ..
            } => quote!(#krate::derive_support::FromColumns<#row>),
            _ => quote!(#krate::codec::Decode<#row>),
        };
        generics.bound(part.ty, bound);
        if matches!(part.attributes.default, Some(Default { path: None, .. })) {
            generics.bound(part.ty, quote!(::core::default::Default));
        }
    }
    Ok(match &data.fields {
        Fields::Named(_) => by_name(&input.ident, &parts, &generics, &row, &krate),
        Fields::Unnamed(_) | Fields::Unit => {
            by_position(&input.ident, &parts, &generics, &row, &krate)
        }
    })
}

fn parts<'i>(data: &'i DataStruct, container: &Container, errors: &mut Errors) -> Vec<Part<'i>> {
    let rule = container.rename_all.map(|(rule, _)| rule);
    let part = |(index, field): (usize, &'i syn::Field)| {
        let attributes = Field::parse(&field.attrs, errors);
        let (member, column) = match &field.ident {
            Some(ident) => (
                Member::Named(ident.clone()),
                name_of(ident, attributes.rename.as_ref(), rule),
            ),
            None => (Member::Unnamed(Index::from(index)), String::new()),
        };
        Part {
            member,
            ty: &field.ty,
            attributes,
            column,
            local: format_ident!("__field_{}", index),
        }
    };
    data.fields.iter().enumerate().map(part).collect()
}

fn check_container(
    input: &DeriveInput,
    data: &DataStruct,
    container: &Container,
    errors: &mut Errors,
) {
    if data.fields.is_empty() {
        errors.push(syn::Error::new(
            input.ident.span(),
            "the struct has no fields that a row could be read into",
        ));
    }
    if let Some(span) = container.transparent {
        errors.push(syn::Error::new(
            span,
            "a transparent type that derives `Decode` can be read from a row of one column \
             without `FromRow`",
        ));
    }
    if let (Some((_, span)), Fields::Unnamed(_)) = (container.rename_all, &data.fields) {
        errors.push(syn::Error::new(
            span,
            "a tuple struct is read by position; there are no names to write otherwise",
        ));
    }
}

/// No column may be read by two fields.
fn check_names(parts: &[Part<'_>], errors: &mut Errors) {
    let mut seen: Vec<&Part<'_>> = Vec::new();
    for part in parts.iter().filter(|part| part.has_column()) {
        match seen.iter().find(|other| other.column == part.column) {
            Some(other) => errors.push(syn::Error::new(
                part.name_span(),
                format!(
                    "the column \"{}\" is read by the field `{}` already",
                    part.column,
                    other.display()
                ),
            )),
            None => seen.push(part),
        }
    }
}

/// What goes by name has no place in a tuple struct.
fn check_positions(parts: &[Part<'_>], errors: &mut Errors) {
    for part in parts {
        let Field {
            rename,
            default,
            skip,
            flatten,
            ..
        } = &part.attributes;
        let default = default.as_ref().filter(|_| skip.is_none());
        for (span, why) in [
            (rename.as_ref().map(syn::LitStr::span), "has no name"),
            (default.map(|it| it.span), "can't be missing"),
            (*flatten, "is one column"),
        ] {
            if let Some(span) = span {
                errors.push(syn::Error::new(
                    span,
                    format!("a tuple struct is read by position, so that this field {why}"),
                ));
            }
        }
    }
}

/// The impls for a struct with named fields.
fn by_name(
    ident: &Ident,
    parts: &[Part<'_>],
    generics: &ImplGenerics,
    row: &Lifetime,
    krate: &TokenStream,
) -> TokenStream {
    let support = quote!(#krate::derive_support);
    let plans = parts.iter().filter_map(|part| part.plan(row, &support));
    let reads = parts.iter().map(|part| part.read(row, &support));
    let own = parts.iter().filter(|part| part.has_column()).count();
    let flattened = parts.iter().filter(|part| part.is_flattened());
    let flattened = flattened.map(|part| part.ty);
    let (members, locals) = members(parts);
    let from_columns = generics.header(&quote!(#support::FromColumns<#row>), ident);
    let from_row = generics.header(&quote!(#krate::FromRow<#row>), ident);
    quote! {
        #from_columns {
            const COUNT: usize =
                #own #(+ <#flattened as #support::FromColumns<#row>>::COUNT)*;

            fn plan_columns(
                __plan: &mut #support::PlanBuilder<'_>,
            ) -> #support::Result<()> {
                #(#plans)*
                ::core::result::Result::Ok(())
            }

            #[inline]
            fn read_columns(
                __fields: &mut impl #support::ReadFields<#row>,
            ) -> #support::Result<Self> {
                #(#reads)*
                ::core::result::Result::Ok(Self { #(#members: #locals,)* })
            }
        }

        #from_row {
            fn plan(
                __columns: &#support::Columns,
            ) -> #support::Result<#support::Plan> {
                #support::plan_row::<Self>(__columns)
            }

            #[inline]
            fn from_row(
                __row: #support::RowRef<#row>,
                __plan: &#support::Plan,
            ) -> #support::Result<Self> {
                #support::read_row::<Self>(__row, __plan)
            }
        }
    }
}

/// The impl for a tuple struct.
fn by_position(
    ident: &Ident,
    parts: &[Part<'_>],
    generics: &ImplGenerics,
    row: &Lifetime,
    krate: &TokenStream,
) -> TokenStream {
    let support = quote!(#krate::derive_support);
    let plans = parts.iter().filter(|part| part.has_column()).map(|part| {
        let ty = part.ty;
        quote_spanned!(at(ty.span())=> <#ty as #support::ColumnType<#row>>::positional(&mut __plan)?;)
    });
    let reads = parts.iter().map(|part| part.read(row, &support));
    let count = parts.iter().filter(|part| part.has_column()).count();
    let (members, locals) = members(parts);
    let from_row = generics.header(&quote!(#krate::FromRow<#row>), ident);
    quote! {
        #from_row {
            fn plan(
                __columns: &#support::Columns,
            ) -> #support::Result<#support::Plan> {
                let mut __plan = #support::PlanBuilder::new(__columns);
                #(#plans)*
                __plan.finish_positional()
            }

            #[inline]
            fn from_row(
                __row: #support::RowRef<#row>,
                _: &#support::Plan,
            ) -> #support::Result<Self> {
                let (mut __cursor, __others) = #support::begin_row(__row, #count)?;
                let __fields = &mut __cursor;
                #(#reads)*
                #support::finish_row(__cursor, __others)?;
                ::core::result::Result::Ok(Self { #(#members: #locals,)* })
            }
        }
    }
}

fn members<'p>(parts: &'p [Part<'_>]) -> (Vec<&'p Member>, Vec<&'p Ident>) {
    parts.iter().map(|part| (&part.member, &part.local)).unzip()
}

impl Part<'_> {
    fn is_flattened(&self) -> bool {
        self.attributes.flatten.is_some()
    }

    /// Whether the field is one column.
    fn has_column(&self) -> bool {
        self.attributes.skip.is_none() && !self.is_flattened()
    }

    fn display(&self) -> String {
        let member = &self.member;
        quote!(#member).to_string()
    }

    /// The place of what names the column.
    fn name_span(&self) -> Span {
        match &self.attributes.rename {
            Some(rename) => rename.span(),
            None => self.member.span(),
        }
    }

    /// Adds the field to the plan.
    fn plan(&self, row: &Lifetime, support: &TokenStream) -> Option<TokenStream> {
        let Self { ty, column, .. } = self;
        let span = at(ty.span());
        Some(match &self.attributes {
            Field { skip: Some(_), .. } => return None,
            Field {
                flatten: Some(_),
                prefix,
                ..
            } => {
                let plan = quote_spanned! {span=>
                    <#ty as #support::FromColumns<#row>>::plan_columns
                };
                match prefix {
                    Some(prefix) => quote!(__plan.prefixed(#prefix, #plan)?;),
                    None => quote!(#plan(__plan)?;),
                }
            }
            Field {
                default: Some(_), ..
            } => quote_spanned! {span=>
                <#ty as #support::ColumnType<#row>>::named_or_default(__plan, #column)?;
            },
            _ => quote_spanned! {span=>
                <#ty as #support::ColumnType<#row>>::named(__plan, #column)?;
            },
        })
    }

    /// Reads the field into its local.
    fn read(&self, row: &Lifetime, support: &TokenStream) -> TokenStream {
        let Self { ty, local, .. } = self;
        let span = at(ty.span());
        let value = match &self.attributes {
            Field {
                skip: Some(skip),
                default,
                ..
            } => match default {
                Some(Default {
                    path: Some(path), ..
                }) => quote_spanned!(path.span()=> #path()),
                _ => quote_spanned!(at(*skip)=> ::core::default::Default::default()),
            },
            Field {
                flatten: Some(_), ..
            } => quote_spanned! {span=>
                <#ty as #support::FromColumns<#row>>::read_columns(__fields)?
            },
            Field {
                default: Some(default),
                ..
            } => {
                let default = default_function(default);
                quote_spanned! {span=>
                    <#ty as #support::ColumnType<#row>>::read_or_default(__fields, #default)?
                }
            }
            _ => quote_spanned! {span=>
                <#ty as #support::ColumnType<#row>>::read(__fields)?
            },
        };
        quote!(let #local: #ty = #value;)
    }
}

fn not_a_struct(span: Span, what: &str) -> syn::Error {
    syn::Error::new(
        span,
        format!(
            "a row is read into a struct, not into {what}; for an enum of PostgreSQL derive \
             `kornak::Decode`, which also reads a row of one column"
        ),
    )
}
