//! `#[task]`.
//!
//! A function `inc` becomes a constant `inc` of a type `inc`. All else stands in `const _` blocks,
//! which keep the module's names and `super::` as they are for the user's code. The function
//! itself has the outer block alone, under a name that nobody uses, so that nothing written here
//! comes between its body and the names that it refers to: `inc` within the body is the task again.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{
    AttrStyle, Attribute as Attr, FnArg, Ident, ItemFn, Result, ReturnType, Signature, Type,
};

use crate::arguments::{Arguments, Attribute};
use crate::check;
use crate::parameter::{Parameter, ungrouped};
use crate::signature;

pub(crate) fn expand(arguments: TokenStream, item: &TokenStream) -> Result<TokenStream> {
    let arguments = Arguments::parse(Attribute::Task, arguments)?;
    let function: ItemFn = syn::parse2(item.clone())
        .map_err(|_| syn::Error::new_spanned(item, "`#[task]` goes on a function with a body"))?;
    check::check(&function)?;
    let signature = signature::text(&function.sig, arguments.version());
    let task = Task {
        private: arguments.private(),
        hidden: hidden(&function.sig),
        parameters: parameters(&function),
        signature,
        function: &function,
    };
    Ok(task.expand())
}

/// The name of the user's function. A parameter may have the name of the function, but not that of
/// a constant, so then the function keeps its name and hides the constant from itself.
fn hidden(signature: &Signature) -> Ident {
    let name = &signature.ident;
    let mut patterns = signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(parameter) => Some(parameter.pat.to_token_stream()),
        FnArg::Receiver(_) => None,
    });
    if patterns.any(|pattern| mentions(pattern, name)) {
        name.clone()
    } else {
        format_ident!("__task_{}", name.unraw())
    }
}

fn mentions(tokens: TokenStream, name: &Ident) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == *name,
        TokenTree::Group(group) => mentions(group.stream(), name),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

fn parameters(function: &ItemFn) -> Vec<Parameter<'_>> {
    let types = function.sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(parameter) => Some(&*parameter.ty),
        FnArg::Receiver(_) => None,
    });
    types.map(Parameter::new).collect()
}

struct Task<'a> {
    function: &'a ItemFn,
    /// The path of `__private`.
    private: TokenStream,
    /// The name that the user's function gets.
    hidden: Ident,
    parameters: Vec<Parameter<'a>>,
    /// The text of the signature.
    signature: String,
}

impl Task<'_> {
    fn expand(&self) -> TokenStream {
        let conditions = self.conditions();
        let (value, function) = (self.value(), self.function());
        let (deref, task_fn, registration) = (self.deref(), self.task_fn(), self.registration());
        quote! {
            #value
            #(#conditions)*
            const _: () = {
                #function
                #[allow(deprecated, clippy::all, clippy::pedantic)]
                const _: () = {
                    #deref
                    #task_fn
                    #registration
                };
            };
        }
    }

    /// The value that stands for the function. It is a constant and not a unit struct because
    /// clippy takes the call of a struct for its construction, which has no effect.
    fn value(&self) -> TokenStream {
        const ALSO: &[&str] = &["doc", "cfg", "deprecated", "allow", "warn", "deny", "forbid"];
        let attributes: Vec<_> = self
            .function
            .attrs
            .iter()
            .filter(|a| matches!(a.style, AttrStyle::Outer) && is(a, ALSO))
            .collect();
        let conditions = self.conditions();
        let (vis, name) = (&self.function.vis, &self.function.sig.ident);
        let type_doc = attributes.iter().any(|a| is(a, &["doc"])).then(|| {
            let text = format!("\n\nA task, `{}`.", self.signature);
            quote!(#[doc = #text])
        });
        quote! {
            #(#conditions)*
            #[doc(hidden)]
            #[allow(non_camel_case_types)]
            #[derive(::core::clone::Clone, ::core::marker::Copy)]
            #vis struct #name {}
            #(#attributes)*
            #type_doc
            #[allow(non_upper_case_globals)]
            #vis const #name: #name = #name {};
        }
    }

    /// The conditions that all parts stand under.
    fn conditions(&self) -> Vec<&Attr> {
        let attributes = self.function.attrs.iter();
        attributes.filter(|a| is(a, &["cfg"])).collect()
    }

    /// The user's function.
    fn function(&self) -> ItemFn {
        let mut function = self.function.clone();
        function.attrs.retain(|a| !is(a, &["doc", "cfg", "deprecated"]));
        function.vis = syn::Visibility::Inherited;
        function.sig.ident = self.hidden.clone();
        function
    }

    /// Makes a call by hand work.
    fn deref(&self) -> TokenStream {
        let (name, hidden) = (&self.function.sig.ident, &self.hidden);
        let output = &self.function.sig.output;
        if self.function.sig.asyncness.is_none() {
            let types = self.parameters.iter().map(|p| p.pointer_type(None));
            let pointer = quote!(fn(#(#types),*) #output);
            return deref(name, &pointer, &quote!(#hidden));
        }
        let private = &self.private;
        let output = self.returned();
        let borrows = self.parameters.iter().any(Parameter::is_borrowed);
        let lifetime = borrows.then(|| quote!('task));
        let types: Vec<_> =
            self.parameters.iter().map(|p| p.pointer_type(lifetime.as_ref())).collect();
        let of = lifetime.clone().unwrap_or_else(|| quote!('static));
        let generics = lifetime.as_ref().map(|l| quote!(<#l>));
        let binder = lifetime.as_ref().map(|l| quote!(for<#l>));
        let future = quote!(#private::BoxFuture<#of, #output>);
        let names = self.names();
        let boxed = quote_spanned!(name.span()=> ::std::boxed::Box::pin(#hidden(#(#names),*)));
        let deref = deref(name, &quote!(#binder fn(#(#types),*) -> #future), &quote!(__by_hand));
        quote! {
            fn __by_hand #generics (#(#names: #types),*) -> #future {
                #boxed
            }
            #deref
        }
    }

    fn task_fn(&self) -> TokenStream {
        let (name, private, signature) = (&self.function.sig.ident, &self.private, &self.signature);
        let params = self.parameters.iter().map(Parameter::owned_type);
        let output = self.result();
        let path = name.unraw().to_string();
        quote! {
            static __DEF: #private::TaskDef = #private::TaskDef {
                path: ::core::concat!(::core::module_path!(), "::", #path),
                signature: #signature,
                body: __body,
            };
            impl #private::TaskFn for #name {
                type Params = (#(#params,)*);
                type Output = #output;
                fn def(&self) -> &'static #private::TaskDef {
                    &__DEF
                }
            }
        }
    }

    /// What a worker calls, and its entry in the registry.
    fn registration(&self) -> TokenStream {
        let (private, hidden) = (&self.private, &self.hidden);
        let names = self.names();
        let reads = self.parameters.iter().enumerate().map(|(i, p)| p.read(i));
        let lends = self.parameters.iter().zip(&names).map(|(parameter, name)| {
            if parameter.is_borrowed() { quote!(&#name) } else { quote!(#name) }
        });
        let mut call = quote!(#hidden(#(#lends),*));
        if self.function.sig.asyncness.is_some() {
            call = quote!(#private::block_on(#call));
        }
        let name = &self.function.sig.ident;
        let ending = match self.result_name() {
            Some(written) => quote_spanned! {written.span()=>
                match #call {
                    ::core::result::Result::Ok(value) => {
                        ::core::result::Result::Ok(#private::live(#name {}, value))
                    }
                    ::core::result::Result::Err(error) => {
                        ::core::result::Result::Err(#private::failure(error))
                    }
                }
            },
            None => quote!(::core::result::Result::Ok(#private::live(#name {}, #call))),
        };
        quote! {
            #[allow(unused_variables)]
            fn __body(
                inputs: &mut #private::Inputs,
            ) -> ::core::result::Result<#private::Payload, #private::Failure> {
                #(let #names = #reads;)*
                #ending
            }
            #private::inventory::submit! { &__DEF }
        }
    }

    /// Names for the arguments.
    fn names(&self) -> Vec<Ident> {
        (0..self.parameters.len()).map(|i| format_ident!("__{i}")).collect()
    }

    /// What the function returns, or its future resolves to.
    fn returned(&self) -> TokenStream {
        match &self.function.sig.output {
            ReturnType::Default => quote!(()),
            ReturnType::Type(_, ty) => ty.to_token_stream(),
        }
    }

    /// What the task's future resolves to.
    fn result(&self) -> TokenStream {
        let (private, returned) = (&self.private, self.returned());
        match self.result_name() {
            Some(written) => {
                quote_spanned!(written.span()=> <#returned as #private::ResultType>::Ok)
            }
            None => returned,
        }
    }

    /// The `Result` that the function returns, as it is written.
    fn result_name(&self) -> Option<&Ident> {
        result_name(&self.function.sig.output)
    }
}

/// The `Result` that a function returns, as it is written.
pub(crate) fn result_name(output: &ReturnType) -> Option<&Ident> {
    let ReturnType::Type(_, ty) = output else {
        return None;
    };
    let Type::Path(path) = ungrouped(ty) else {
        return None;
    };
    let last = &path.path.segments.last()?.ident;
    (last == "Result").then_some(last)
}

fn deref(name: &Ident, pointer: &TokenStream, function: &TokenStream) -> TokenStream {
    quote! {
        impl ::core::ops::Deref for #name {
            type Target = #pointer;
            fn deref(&self) -> &Self::Target {
                static POINTER: #pointer = #function;
                &POINTER
            }
        }
    }
}

fn is(attribute: &Attr, names: &[&str]) -> bool {
    names.iter().any(|name| attribute.path().is_ident(name))
}
