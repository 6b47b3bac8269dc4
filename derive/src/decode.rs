//! `#[derive(Decode)]`.

use proc_macro2::{Literal, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Lifetime};

use crate::attributes::Default;
use crate::generics::{ImplGenerics, at, check_lifetime};
use crate::value::{Label, Part, Shape, Value};

pub(crate) fn derive(input: &DeriveInput) -> syn::Result<TokenStream> {
    let value = Value::of(input)?;
    let Value { krate, support, .. } = &value;
    let mut generics = ImplGenerics::new(&input.generics);
    let row = generics.row_lifetime();
    let (body, is_scalar) = match &value.shape {
        Shape::Enum(labels) => (of_enum(&value, labels, &row), true),
        Shape::Composite(parts) => {
            bound(&mut generics, parts, &value, &row)?;
            (of_composite(&value, parts, &row), false)
        }
        Shape::Transparent { inner, rest } => {
            bound(&mut generics, rest, &value, &row)?;
            bound(&mut generics, [inner], &value, &row)?;
            (of_transparent(&value, inner, rest, &row), true)
        }
    };
    let decode = generics.header(&quote!(#krate::codec::Decode<#row>), &input.ident);
    let scalar = is_scalar.then(|| {
        let header =
            ImplGenerics::new(&input.generics).header(&quote!(#support::Scalar), &input.ident);
        quote!(#header {})
    });
    Ok(quote! {
        #decode {
            #body
        }

        #scalar
    })
}

/// Adds the bounds that the fields need.
fn bound<'p, 'i: 'p>(
    generics: &mut ImplGenerics,
    parts: impl IntoIterator<Item = &'p Part<'i>>,
    value: &Value<'_>,
    row: &Lifetime,
) -> syn::Result<()> {
    let krate = &value.krate;
    for part in parts {
        let default = part.attributes.default.as_ref();
        let calls_default = match default {
            Some(default) => default.path.is_none(),
            None => part.is_skipped(),
        };
        if calls_default {
            generics.bound(part.ty, quote!(::core::default::Default));
        }
        if !part.is_skipped() {
            check_lifetime(part.ty)?;
            generics.bound(part.ty, quote!(#krate::codec::Decode<#row>));
        }
    }
    Ok(())
}

fn of_enum(value: &Value<'_>, labels: &[Label<'_>], row: &Lifetime) -> TokenStream {
    let Value { support, name, .. } = value;
    let variants = labels.iter().map(|label| label.variant);
    let texts: Vec<_> = labels.iter().map(|label| &label.text).collect();
    let bytes = texts
        .iter()
        .map(|text| Literal::byte_string(text.as_bytes()));
    quote! {
        fn accepts(__ty: &#support::Type) -> bool {
            #support::check_enum::<Self>(#name, __ty).is_ok()
        }

        fn check_type(
            __ty: &#support::Type,
        ) -> ::core::result::Result<(), #support::DecodeError> {
            #support::check_enum::<Self>(#name, __ty)
        }

        #[inline]
        fn decode(
            __value: #support::RawValue<#row, '_>,
        ) -> ::core::result::Result<Self, #support::DecodeError> {
            match __value.bytes() {
                #(#bytes => ::core::result::Result::Ok(Self::#variants),)*
                _ => ::core::result::Result::Err(
                    #support::unknown_label::<Self>(__value, &[#(#texts),*]),
                ),
            }
        }
    }
}

fn of_composite(value: &Value<'_>, parts: &[Part<'_>], row: &Lifetime) -> TokenStream {
    let Value { support, name, .. } = value;
    let checks = parts.iter().filter(|part| !part.is_skipped()).map(|part| {
        let Part { ty, name, .. } = part;
        let span = at(ty.span());
        if part.attributes.default.is_some() {
            quote_spanned! {span=>
                <#ty as #support::DecodeField<#row>>::check_or_default(&__fields, #name)?;
            }
        } else {
            quote_spanned! {span=>
                <#ty as #support::DecodeField<#row>>::check(&__fields, #name)?;
            }
        }
    });
    let reads = parts.iter().map(|part| {
        let Part {
            ty, name, local, ..
        } = part;
        let span = at(ty.span());
        let read = match &part.attributes.default {
            _ if part.is_skipped() => part.skipped(),
            Some(default) => {
                let default = default_function(default);
                quote_spanned! {span=>
                    <#ty as #support::DecodeField<#row>>::read_or_default(
                        &mut __reader,
                        #name,
                        #default,
                    )?
                }
            }
            None => quote_spanned! {span=>
                <#ty as #support::DecodeField<#row>>::read(&mut __reader, #name)?
            },
        };
        quote!(let #local: #ty = #read;)
    });
    let (members, locals): (Vec<_>, Vec<_>) =
        parts.iter().map(|part| (&part.member, &part.local)).unzip();
    quote! {
        fn accepts(__ty: &#support::Type) -> bool {
            <Self as #support::Decode<#row>>::check_type(__ty).is_ok()
        }

        fn check_type(
            __ty: &#support::Type,
        ) -> ::core::result::Result<(), #support::DecodeError> {
            let __fields = #support::CompositeFields::of::<Self>(#name, __ty)?;
            #(#checks)*
            ::core::result::Result::Ok(())
        }

        fn decode(
            __value: #support::RawValue<#row, '_>,
        ) -> ::core::result::Result<Self, #support::DecodeError> {
            let mut __reader = #support::CompositeReader::new::<Self>(__value)?;
            #(#reads)*
            __reader.finish()?;
            ::core::result::Result::Ok(Self { #(#members: #locals,)* })
        }
    }
}

fn of_transparent(
    value: &Value<'_>,
    inner: &Part<'_>,
    rest: &[Part<'_>],
    row: &Lifetime,
) -> TokenStream {
    let Value { support, .. } = value;
    let Part { member, ty, .. } = inner;
    let decode = quote_spanned!(at(ty.span())=> <#ty as #support::Decode<#row>>);
    let members = rest.iter().map(|part| &part.member);
    let skipped = rest.iter().map(Part::skipped);
    let wrap = quote! {
        |__inner: #ty| Self { #member: __inner, #(#members: #skipped,)* }
    };
    quote! {
        const USUAL_LENGTH: ::core::option::Option<usize> = #decode::USUAL_LENGTH;
        const DIMENSIONS: usize = #decode::DIMENSIONS;

        fn accepts(__ty: &#support::Type) -> bool {
            #decode::accepts(__ty)
        }

        fn check_type(
            __ty: &#support::Type,
        ) -> ::core::result::Result<(), #support::DecodeError> {
            #decode::check_type(__ty).map_err(#support::read_as::<Self>)
        }

        fn accepts_text(__ty: &#support::Type) -> bool {
            #decode::accepts_text(__ty)
        }

        fn accepts_text_element(__ty: &#support::Type) -> bool {
            #decode::accepts_text_element(__ty)
        }

        fn decode_text(
            __text: #support::String,
            __ty: &#support::Type,
        ) -> ::core::result::Result<Self, #support::DecodeError> {
            #decode::decode_text(__text, __ty).map(#wrap).map_err(#support::read_as::<Self>)
        }

        fn accepts_element(__ty: &#support::Type) -> bool {
            #decode::accepts_element(__ty)
        }

        #[inline]
        fn decode(
            __value: #support::RawValue<#row, '_>,
        ) -> ::core::result::Result<Self, #support::DecodeError> {
            #decode::decode(__value).map(#wrap).map_err(#support::read_as::<Self>)
        }

        fn decode_null(
            __ty: &#support::Type,
        ) -> ::core::result::Result<Self, #support::DecodeError> {
            #decode::decode_null(__ty).map(#wrap).map_err(#support::read_as::<Self>)
        }

        fn decode_elements(
            __elements: &mut #support::ArrayElements<#row, '_>,
        ) -> ::core::result::Result<#support::Vec<Self>, #support::DecodeError> {
            let __inner = #decode::decode_elements(__elements)?;
            ::core::result::Result::Ok(
                ::core::iter::Iterator::collect(
                    ::core::iter::Iterator::map(
                        ::core::iter::IntoIterator::into_iter(__inner),
                        #wrap,
                    ),
                ),
            )
        }
    }
}

/// The function that gives a field its default.
pub(crate) fn default_function(default: &Default) -> TokenStream {
    match &default.path {
        Some(path) => quote_spanned!(path.span()=> #path),
        None => quote_spanned!(at(default.span)=> || ::core::default::Default::default()),
    }
}
