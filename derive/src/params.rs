//! `#[derive(Params)]`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Index, Member, Type};

use crate::attributes::{Container, Errors, Field};
use crate::generics::{ImplGenerics, at};

/// One field that is a parameter, or several.
struct Part<'i> {
    member: Member,
    ty: &'i Type,
    is_flattened: bool,
    /// How many parameters come before, as an expression.
    offset: TokenStream,
}

pub(crate) fn derive(input: &DeriveInput) -> syn::Result<TokenStream> {
    let fields = match &input.data {
        Data::Struct(data) => &data.fields,
        Data::Enum(data) => return Err(not_a_struct(data.enum_token.span, "an enum")),
        Data::Union(data) => return Err(not_a_struct(data.union_token.span, "a union")),
    };
    let mut errors = Errors::default();
    let container = Container::parse(&input.attrs, &mut errors);
    let support = {
        let krate = container.krate();
        quote!(#krate::derive_support)
    };
    let mut parts = Vec::new();
    let mut offset = quote!(0);
    for (index, field) in fields.iter().enumerate() {
        let attributes = Field::parse(&field.attrs, &mut errors);
        if attributes.skip.is_some() {
            continue;
        }
        let part = Part {
            member: match &field.ident {
                Some(ident) => Member::Named(ident.clone()),
                None => Member::Unnamed(Index::from(index)),
            },
            ty: &field.ty,
            is_flattened: attributes.flatten.is_some(),
            offset: offset.clone(),
        };
        let count = part.count(&support);
        offset = quote!(#offset + #count);
        parts.push(part);
    }
    errors.finish()?;
    let mut generics = ImplGenerics::new(&input.generics);
    for part in &parts {
        let encode = part.encode_trait(&container.krate());
        generics.bound(part.ty, encode);
    }
    let declares = parts.iter().map(|part| part.declare(&support));
    let compares = parts.iter().map(|part| part.compare(&support));
    let encodes = parts.iter().map(|part| part.encode(&support));
    let ident = &input.ident;
    let krate = container.krate();
    let param_fields = generics.header(&quote!(#support::ParamFields), ident);
    let sealed = generics.header(&quote!(#support::SealedParams), ident);
    let params = generics.header(&quote!(#krate::Params), ident);
    Ok(quote! {
        #param_fields {
            const COUNT: usize = #offset;

            #[inline]
            #[allow(unused_variables)]
            fn declared(__index: usize) -> #support::DeclaredType {
                #(#declares)*
                ::core::unreachable!("the struct has no such parameter")
            }

            #[inline]
            #[allow(unused_variables)]
            fn are_declared(__declared: &[#support::DeclaredType]) -> bool {
                true #(&& #compares)*
            }

            #[inline]
            #[allow(unused_variables)]
            fn encode(
                &self,
                __types: &[#support::Type],
                __first: usize,
                __out: &mut #support::WriteBuffer,
            ) -> #support::Result<()> {
                #(#encodes)*
                ::core::result::Result::Ok(())
            }
        }

        #sealed {}

        #params {
            #[inline]
            fn count(&self) -> usize {
                <Self as #support::ParamFields>::COUNT
            }

            #[inline]
            fn declared(&self, __index: usize) -> #support::DeclaredType {
                <Self as #support::ParamFields>::declared(__index)
            }

            #[inline]
            fn are_declared(&self, __declared: &[#support::DeclaredType]) -> bool {
                #support::fields_are_declared::<Self>(__declared)
            }

            #[inline]
            fn encode(
                &self,
                __types: &[#support::Type],
                __out: &mut #support::WriteBuffer,
            ) -> #support::Result<()> {
                #support::encode_fields(self, __types, __out)
            }
        }
    })
}

impl Part<'_> {
    /// How many parameters the field is, as an expression.
    fn count(&self, support: &TokenStream) -> TokenStream {
        let ty = self.ty;
        if self.is_flattened {
            quote_spanned!(at(ty.span())=> <#ty as #support::ParamFields>::COUNT)
        } else {
            quote!(1)
        }
    }

    fn encode_trait(&self, krate: &TokenStream) -> TokenStream {
        if self.is_flattened {
            quote!(#krate::derive_support::ParamFields)
        } else {
            quote!(#krate::codec::Encode)
        }
    }

    /// Returns what the parameter at `__index` declares, if it is this field.
    fn declare(&self, support: &TokenStream) -> TokenStream {
        let Self { ty, offset, .. } = self;
        let span = at(ty.span());
        if self.is_flattened {
            let count = self.count(support);
            quote_spanned! {span=>
                if (#offset..#offset + #count).contains(&__index) {
                    return <#ty as #support::ParamFields>::declared(__index - (#offset));
                }
            }
        } else {
            quote_spanned! {span=>
                if __index == #offset {
                    return <#ty as #support::ParamType>::DECLARED;
                }
            }
        }
    }

    /// Whether the field is declared as `__declared` says.
    fn compare(&self, support: &TokenStream) -> TokenStream {
        let Self { ty, offset, .. } = self;
        let span = at(ty.span());
        if self.is_flattened {
            let count = self.count(support);
            quote_spanned! {span=>
                <#ty as #support::ParamFields>::are_declared(
                    &__declared[#offset..#offset + #count],
                )
            }
        } else {
            quote_spanned! {span=>
                __declared[#offset] == <#ty as #support::ParamType>::DECLARED
            }
        }
    }

    fn encode(&self, support: &TokenStream) -> TokenStream {
        let Self {
            member, ty, offset, ..
        } = self;
        let span = at(ty.span());
        if self.is_flattened {
            let count = self.count(support);
            quote_spanned! {span=>
                <#ty as #support::ParamFields>::encode(
                    &self.#member,
                    &__types[#offset..#offset + #count],
                    __first + #offset,
                    __out,
                )?;
            }
        } else {
            let name = quote!(#member).to_string();
            quote_spanned! {span=>
                <#ty as #support::ParamType>::encode_field(
                    &self.#member,
                    #name,
                    __first + #offset,
                    &__types[#offset],
                    __out,
                )?;
            }
        }
    }
}

fn not_a_struct(span: Span, what: &str) -> syn::Error {
    syn::Error::new(
        span,
        format!("the parameters of a statement are the fields of a struct, not of {what}"),
    )
}
