//! `#[derive(Encode)]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::DeriveInput;
use syn::spanned::Spanned;

use crate::generics::{ImplGenerics, at};
use crate::value::{Label, Part, Shape, Value};

pub(crate) fn derive(input: &DeriveInput) -> syn::Result<TokenStream> {
    let value = Value::of(input)?;
    let krate = &value.krate;
    let mut generics = ImplGenerics::new(&input.generics);
    let body = match &value.shape {
        Shape::Enum(labels) => of_enum(&value, labels),
        Shape::Composite(parts) => {
            let parts: Vec<_> = parts.iter().filter(|part| !part.is_skipped()).collect();
            for part in &parts {
                generics.bound(part.ty, quote!(#krate::codec::Encode));
            }
            of_composite(&value, &parts)
        }
        Shape::Transparent { inner, .. } => {
            generics.bound(inner.ty, quote!(#krate::codec::Encode));
            of_transparent(&value, inner)
        }
    };
    let header = generics.header(&quote!(#krate::codec::Encode), &input.ident);
    Ok(quote! {
        #header {
            #body
        }
    })
}

fn of_enum(value: &Value<'_>, labels: &[Label<'_>]) -> TokenStream {
    let Value { support, name, .. } = value;
    let (variants, texts): (Vec<_>, Vec<_>) = labels
        .iter()
        .map(|label| (label.variant, &label.text))
        .unzip();
    quote! {
        #[inline]
        fn encode(
            &self,
            __ty: &#support::Type,
            __out: &mut #support::ParamWriter<'_>,
        ) -> ::core::result::Result<#support::IsNull, #support::EncodeError> {
            let __label = match self {
                #(Self::#variants => #texts,)*
            };
            #support::encode_label::<Self>(#name, __label, __ty, __out)
        }
    }
}

fn of_composite(value: &Value<'_>, parts: &[&Part<'_>]) -> TokenStream {
    let Value { support, name, .. } = value;
    let names = parts.iter().map(|part| &part.name);
    let last = parts.len().saturating_sub(1);
    let arms = parts.iter().enumerate().map(|(index, part)| {
        let Part { member, ty, .. } = part;
        // The last arm stands for all other indices, of which there are none.
        let index = if index == last {
            quote!(_)
        } else {
            quote!(#index)
        };
        let encode = quote_spanned! {at(ty.span())=>
            <#ty as #support::EncodeField>::encode_field(&self.#member, __ty, __out)
        };
        quote!(#index => #encode,)
    });
    quote! {
        fn encode(
            &self,
            __ty: &#support::Type,
            __out: &mut #support::ParamWriter<'_>,
        ) -> ::core::result::Result<#support::IsNull, #support::EncodeError> {
            #support::encode_composite::<Self>(
                #name,
                &[#(#names),*],
                __ty,
                __out,
                |__index: usize, __ty: &#support::Type, __out: &mut #support::ParamWriter<'_>| {
                    match __index {
                        #(#arms)*
                    }
                },
            )
        }
    }
}

fn of_transparent(value: &Value<'_>, inner: &Part<'_>) -> TokenStream {
    let Value { krate, support, .. } = value;
    let Part { member, ty, .. } = inner;
    let encode = quote_spanned!(at(ty.span())=> <#ty as #krate::codec::Encode>);
    quote! {
        const DECLARED: #support::DeclaredType = #encode::DECLARED;
        const DIMENSIONS: usize = #encode::DIMENSIONS;

        #[inline]
        fn encode(
            &self,
            __ty: &#support::Type,
            __out: &mut #support::ParamWriter<'_>,
        ) -> ::core::result::Result<#support::IsNull, #support::EncodeError> {
            #encode::encode(&self.#member, __ty, __out).map_err(#support::written_as::<Self>)
        }

        #[inline]
        fn encode_with_length(
            &self,
            __ty: &#support::Type,
            __out: #support::ValueWriter<'_>,
        ) -> ::core::result::Result<#support::Written, #support::EncodeError> {
            #encode::encode_with_length(&self.#member, __ty, __out)
                .map_err(#support::written_as::<Self>)
        }

        #[inline]
        fn encode_element(
            &self,
            __array: &mut #support::ArrayWriter<'_, '_, '_>,
        ) -> ::core::result::Result<(), #support::EncodeError> {
            #encode::encode_element(&self.#member, __array)
        }
    }
}
