//! The generics of a generated impl.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{GenericParam, Generics, Lifetime, LifetimeParam, Type, WherePredicate, parse_quote};

/// The generics of an impl for a type, with the bounds that its fields need.
pub(crate) struct ImplGenerics {
    /// With what the type declares, and what was added.
    all: Generics,
    /// The type's own.
    of_type: Generics,
    /// The names of the type's type parameters.
    type_params: Vec<String>,
}

impl ImplGenerics {
    pub(crate) fn new(generics: &Generics) -> Self {
        Self {
            all: generics.clone(),
            of_type: generics.clone(),
            type_params: generics
                .type_params()
                .map(|param| param.ident.to_string())
                .collect(),
        }
    }

    /// The lifetime of a row's bytes: the type's own if it has one, which it borrows from
    /// the row. Several are made equal.
    pub(crate) fn row_lifetime(&mut self) -> Lifetime {
        let own: Vec<Lifetime> = self
            .of_type
            .lifetimes()
            .map(|param| param.lifetime.clone())
            .collect();
        match own.split_first() {
            Some((first, others)) => {
                for other in others {
                    self.require(parse_quote!(#first: #other));
                    self.require(parse_quote!(#other: #first));
                }
                first.clone()
            }
            None => {
                let row = Lifetime::new("'row", Span::call_site());
                let param = GenericParam::Lifetime(LifetimeParam::new(row.clone()));
                self.all.params.insert(0, param);
                row
            }
        }
    }

    /// Requires `bound` of a field's type if that depends on a type parameter; others are
    /// checked where they are used, with the field under the message.
    pub(crate) fn bound(&mut self, ty: &Type, bound: TokenStream) {
        if mentions(ty.to_token_stream(), &self.type_params) {
            self.require(parse_quote!(#ty: #bound));
        }
    }

    fn require(&mut self, predicate: WherePredicate) {
        self.all.make_where_clause().predicates.push(predicate);
    }

    /// `impl<…> TRAIT for TYPE<…> where …`.
    pub(crate) fn header(&self, of: &TokenStream, ident: &syn::Ident) -> TokenStream {
        let (params, _, predicates) = self.all.split_for_impl();
        let (_, arguments, _) = self.of_type.split_for_impl();
        quote! {
            #[automatically_derived]
            #[allow(deprecated, clippy::all, clippy::pedantic, clippy::nursery)]
            impl #params #of for #ident #arguments #predicates
        }
    }
}

/// Whether one of `names` occurs in `tokens`.
fn mentions(tokens: TokenStream, names: &[String]) -> bool {
    !names.is_empty()
        && tokens.into_iter().any(|token| match token {
            TokenTree::Ident(ident) => names.iter().any(|name| ident == name),
            TokenTree::Group(group) => mentions(group.stream(), names),
            TokenTree::Punct(_) | TokenTree::Literal(_) => false,
        })
}

/// What borrows from a row can't live for ever.
///
/// # Errors
///
/// If the type of a field that is read borrows for `'static`.
pub(crate) fn check_lifetime(ty: &Type) -> syn::Result<()> {
    match static_borrow(ty) {
        None => Ok(()),
        Some(span) => Err(syn::Error::new(
            span,
            "what is borrowed from a row lives only as long as the row; give the struct a \
             lifetime and borrow for that, or own the value (`String`, `Vec<u8>`)",
        )),
    }
}

/// The place of a `'static` that a type borrows for: in `&'static T` or `Cow<'static, T>`, be
/// it within another type.
fn static_borrow(ty: &Type) -> Option<Span> {
    fn find(tokens: TokenStream, before: &mut [String; 2]) -> Option<Span> {
        for token in tokens {
            let text = match &token {
                TokenTree::Group(group) => {
                    if let Some(span) = find(group.stream(), before) {
                        return Some(span);
                    }
                    continue;
                }
                // A lifetime is two tokens.
                TokenTree::Punct(punct) if punct.as_char() == '\'' => continue,
                token => token.to_string(),
            };
            let [first, second] = &*before;
            if text == "static" && (second == "&" || (first == "Cow" && second == "<")) {
                return Some(token.span());
            }
            before.rotate_left(1);
            before[1] = text;
        }
        None
    }
    find(ty.to_token_stream(), &mut Default::default())
}

/// The place of `span`, in code that is the macro's own.
pub(crate) fn at(span: Span) -> Span {
    Span::call_site().located_at(span)
}
