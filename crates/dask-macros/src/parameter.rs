use proc_macro2::TokenStream;
use quote::quote;
use syn::{GenericArgument, PathArguments, Type, TypeReference};

/// Most parameters that a task can have.
pub(crate) const MAX_PARAMETERS: usize = 12;

/// How a parameter's argument is read from a call.
pub(crate) enum Parameter<'a> {
    /// `T`.
    Owned(&'a Type),
    /// `Vec<T>`, with the `T` as well.
    OwnedList(&'a Type, &'a Type),
    /// `&T`.
    Borrowed(&'a Type),
    /// `&[T]`, the `T` and the `[T]`.
    Slice(&'a Type, &'a Type),
    /// `&Vec<T>`, the `T` and the `Vec<T>`.
    BorrowedList(&'a Type, &'a Type),
    /// `&str`, and the `str`.
    Text(&'a Type),
}

impl<'a> Parameter<'a> {
    pub(crate) fn new(ty: &'a Type) -> Self {
        match ungrouped(ty) {
            Type::Reference(TypeReference { elem, .. }) => match ungrouped(elem) {
                Type::Slice(slice) => Self::Slice(&slice.elem, elem),
                Type::Path(path) if path.path.is_ident("str") => Self::Text(elem),
                other => match vec_element(other) {
                    Some(element) => Self::BorrowedList(element, elem),
                    None => Self::Borrowed(other),
                },
            },
            other => match vec_element(other) {
                Some(element) => Self::OwnedList(element, other),
                None => Self::Owned(other),
            },
        }
    }

    /// The type that an argument has before it is lent to the function.
    pub(crate) fn owned_type(&self) -> TokenStream {
        match self {
            Self::Owned(ty) | Self::OwnedList(_, ty) | Self::Borrowed(ty) => quote!(#ty),
            Self::Slice(element, _) | Self::BorrowedList(element, _) => {
                quote!(::std::vec::Vec<#element>)
            }
            Self::Text(_) => quote!(::std::string::String),
        }
    }

    /// The parameter's type within a function pointer. `lifetime` replaces those that the
    /// function names.
    pub(crate) fn pointer_type(&self, lifetime: Option<&TokenStream>) -> TokenStream {
        match self {
            Self::Owned(ty) | Self::OwnedList(_, ty) => quote!(#ty),
            Self::Borrowed(ty)
            | Self::Slice(_, ty)
            | Self::BorrowedList(_, ty)
            | Self::Text(ty) => quote!(& #lifetime #ty),
        }
    }

    /// The expression that reads the `index`th argument from `inputs`.
    pub(crate) fn read(&self, index: usize) -> TokenStream {
        match self {
            Self::Owned(ty) => quote!(inputs.owned::<#ty>(#index)?),
            Self::OwnedList(element, _) => quote!(inputs.owned_list::<#element>(#index)?),
            Self::Borrowed(ty) => quote!(inputs.borrowed::<#ty>(#index)?),
            Self::Slice(element, _) => quote!(inputs.slice::<#element>(#index)?),
            Self::BorrowedList(element, _) => quote!(inputs.borrowed_list::<#element>(#index)?),
            Self::Text(_) => quote!(inputs.borrowed::<::std::string::String>(#index)?),
        }
    }

    pub(crate) fn is_borrowed(&self) -> bool {
        !matches!(self, Self::Owned(_) | Self::OwnedList(..))
    }
}

/// The type without the parentheses and the invisible groups around it, which a `macro_rules!`
/// macro leaves behind.
pub(crate) fn ungrouped(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => ungrouped(&group.elem),
        Type::Paren(paren) => ungrouped(&paren.elem),
        other => other,
    }
}

/// The `T` of `Vec<T>`. An alias of it is not seen through, nor need it be: a list arrives in it
/// all the same, by way of its encoding.
fn vec_element(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    if path.qself.is_some() || last.ident != "Vec" {
        return None;
    }
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    match (arguments.args.len(), arguments.args.first()) {
        (1, Some(GenericArgument::Type(element))) => Some(element),
        _ => None,
    }
}
