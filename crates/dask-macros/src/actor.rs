//! `#[actor]`.
//!
//! Methods stay where they are. For each there is one of the same name on a handle, a type of its
//! own to which `Actor<T>` derefs, and a function that a worker calls. A function that makes an
//! actor becomes a constant, like a task.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt;
use syn::{
    Attribute as Attr, Error, FnArg, GenericArgument, Ident, ImplItem, ImplItemFn, ItemImpl,
    PathArguments, Receiver, ReceiverKind, Result, ReturnType, Signature, Type,
};

use crate::arguments::{Arguments, Attribute};
use crate::parameter::{MAX_PARAMETERS, Parameter, ungrouped};
use crate::signature;
use crate::task::result_name;

pub(crate) fn expand(arguments: TokenStream, item: &TokenStream) -> Result<TokenStream> {
    let arguments = Arguments::parse(Attribute::Actor, arguments)?;
    let mut block: ItemImpl = syn::parse2(item.clone()).map_err(|_| {
        Error::new_spanned(item, "`#[actor]` goes on the `impl` block of a type's methods")
    })?;
    let actor = Actor { name: name(&block)?, private: arguments.private() };
    let mut parts = Parts::default();
    let mut items = Vec::new();
    for item in std::mem::take(&mut block.items) {
        match item {
            ImplItem::Fn(function) => items.extend(actor.function(function, &mut parts)?),
            other => items.push(other),
        }
    }
    block.items = items;
    Ok(actor.output(&block, &parts))
}

/// The name of the type that an `impl` block is of.
fn name(block: &ItemImpl) -> Result<Ident> {
    if let Some((path, _)) = &block.trait_ {
        return Err(Error::new_spanned(
            path,
            "`#[actor]` goes on the `impl` block of the type itself, and not of a trait",
        ));
    }
    if !block.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &block.generics,
            "an actor is known by name on every machine, so it cannot be generic",
        ));
    }
    match ungrouped(&block.self_ty) {
        Type::Path(path) if path.qself.is_none() => path.path.get_ident().cloned(),
        _ => None,
    }
    .ok_or_else(|| {
        Error::new_spanned(&block.self_ty, "`#[actor]` goes on a type by its name alone")
    })
}

struct Actor {
    name: Ident,
    /// The path of `__private`.
    private: TokenStream,
}

/// What is written beside the `impl` block.
#[derive(Default)]
struct Parts {
    /// How many functions make the actor.
    constructors: usize,
    /// Methods of the handle.
    methods: Vec<TokenStream>,
    /// What workers call.
    bodies: Vec<TokenStream>,
}

impl Actor {
    fn output(&self, block: &ItemImpl, parts: &Parts) -> TokenStream {
        let (name, private) = (&self.name, &self.private);
        let handle = format_ident!("{}Handle", name.unraw());
        let Parts { methods, bodies, .. } = parts;
        let doc = format!("What can be called on an `Actor<{name}>`.");
        quote! {
            #block
            #[doc = #doc]
            #[allow(unreachable_pub)]
            #[derive(::core::clone::Clone, ::core::fmt::Debug)]
            pub struct #handle(#private::RawActor);
            #[allow(clippy::all, clippy::pedantic, missing_docs, private_interfaces)]
            const _: () = {
                impl ::core::convert::From<#private::RawActor> for #handle {
                    fn from(raw: #private::RawActor) -> Self {
                        Self(raw)
                    }
                }
                impl #private::ActorType for #name {
                    type Handle = #handle;
                }
                impl #handle {
                    #(#methods)*
                }
                #(#bodies)*
            };
        }
    }

    /// What stands in the `impl` block for one function, with the rest among the parts.
    fn function(&self, function: ImplItemFn, parts: &mut Parts) -> Result<Vec<ImplItem>> {
        check(&function.sig)?;
        // Outside of the block the type goes by its name.
        let sig: Signature = syn::parse2(self.without_self(function.sig.to_token_stream()))?;
        let Some(receiver) = function.sig.receiver() else {
            let makes = self.makes_actor(&sig.output);
            return if makes { self.constructor(function, &sig, parts) } else { plain(function) };
        };
        check_receiver(receiver)?;
        self.method(&function, &sig, parts);
        plain(function)
    }

    fn method(&self, function: &ImplItemFn, sig: &Signature, parts: &mut Parts) {
        let (actor, name, private) = (&self.name, &sig.ident, &self.private);
        let parameters = parameters(sig);
        let names = names(&parameters);
        let owned: Vec<_> = parameters.iter().map(Parameter::owned_type).collect();
        let vis = &function.vis;
        let docs = function.attrs.iter().filter(|a| is(a, &["doc", "cfg", "deprecated"]));
        let conditions: Vec<_> = function.attrs.iter().filter(|a| is(a, &["cfg"])).collect();
        let (def, body) = (format_ident!("__DEF_{name}"), format_ident!("__body_{name}"));
        let output = self.value_type(&sig.output);
        parts.methods.push(quote! {
            #(#docs)*
            #vis fn #name(
                &self,
                #(#names: impl #private::IntoArg<#owned>),*
            ) -> #private::ActorFuture<#output> {
                self.0.call(&#def, |__call| {
                    #(#private::IntoArg::<#owned>::write(#names, __call)?;)*
                    ::core::result::Result::Ok(())
                })
            }
        });
        let reads = parameters.iter().enumerate().map(|(i, p)| p.read(i + 1));
        let call = call(&quote!(#actor::#name), &parameters, Some(quote!(&mut *__actor)));
        let call = self.awaited(sig, call);
        let ending = self.ending(sig, &call, &quote!(__value));
        let definition = self.definition(sig);
        parts.bodies.push(quote! {
            #(#conditions)*
            static #def: #private::TaskDef = #definition;
            #(#conditions)*
            #[allow(unused_variables, unused_mut)]
            fn #body(
                inputs: &mut #private::Inputs,
            ) -> ::core::result::Result<#private::Payload, #private::Failure> {
                #private::reply(&#def, || {
                    let __cell = inputs.actor::<#actor>(0)?;
                    #(let #names = #reads;)*
                    let mut __actor = __cell.lock();
                    #ending
                })
            }
            #(#conditions)*
            const _: () = { #private::inventory::submit! { &#def } };
        });
    }

    fn constructor(
        &self,
        mut function: ImplItemFn,
        sig: &Signature,
        parts: &mut Parts,
    ) -> Result<Vec<ImplItem>> {
        if let Some(token) = &sig.asyncness {
            return Err(Error::new_spanned(token, "a function that makes an actor is not async"));
        }
        let (actor, name, private) = (&self.name, &sig.ident, &self.private);
        let hidden = format_ident!("__actor_{name}");
        let (def, body) = (format_ident!("__DEF_{name}"), format_ident!("__body_{name}"));
        let parameters = parameters(sig);
        let names = names(&parameters);
        let owned = parameters.iter().map(Parameter::owned_type);
        let reads = parameters.iter().enumerate().map(|(i, p)| p.read(i));
        let call = call(&quote!(#actor::#hidden), &parameters, None);
        let ending = self.ending(sig, &call, &quote!(#private::actor::<#actor>(__value)));
        let definition = self.definition(sig);
        let pointers = parameters.iter().map(|p| p.pointer_type(None));
        let output = &sig.output;
        let number = parts.constructors;
        parts.constructors += 1;
        parts.bodies.push(quote! {
            static #def: #private::TaskDef = #definition;
            impl #private::Constructs<#number> for #actor {
                type Params = (#(#owned,)*);
                type Pointer = fn(#(#pointers),*) #output;
                const POINTER: &'static Self::Pointer = &(#actor::#hidden as Self::Pointer);
                fn def() -> &'static #private::TaskDef {
                    &#def
                }
            }
            #[allow(unused_variables)]
            fn #body(
                inputs: &mut #private::Inputs,
            ) -> ::core::result::Result<#private::Payload, #private::Failure> {
                #(let #names = #reads;)*
                #ending
            }
            const _: () = { #private::inventory::submit! { &#def } };
        });
        let (vis, docs) = (function.vis.clone(), function.attrs.clone());
        let docs = docs.iter().filter(|a| is(a, &["doc", "deprecated"]));
        let constant = quote! {
            #(#docs)*
            #[allow(non_upper_case_globals)]
            #vis const #name: #private::Constructor<#actor, #number> = #private::Constructor::NEW;
        };
        function.attrs.retain(|a| !is(a, &["doc", "deprecated"]));
        function.attrs.push(syn::parse_quote!(#[doc(hidden)]));
        function.vis = syn::Visibility::Inherited;
        function.sig.ident = hidden;
        Ok(vec![ImplItem::Const(syn::parse2(constant)?), ImplItem::Fn(function)])
    }

    fn definition(&self, sig: &Signature) -> TokenStream {
        let private = &self.private;
        let path = format!("{}::{}", self.name.unraw(), sig.ident.unraw());
        let (signature, body) = (signature::text(sig, None), format_ident!("__body_{}", sig.ident));
        quote! {
            #private::TaskDef {
                path: ::core::concat!(::core::module_path!(), "::", #path),
                signature: #signature,
                body: #body,
            }
        }
    }

    /// The value of a call, with what becomes of it, in `Ok`, or its failure.
    fn ending(&self, sig: &Signature, call: &TokenStream, value: &TokenStream) -> TokenStream {
        let private = &self.private;
        if result_name(&sig.output).is_none() {
            return quote!({ let __value = #call; ::core::result::Result::Ok(#value) });
        }
        quote! {
            match #call {
                ::core::result::Result::Ok(__value) => ::core::result::Result::Ok(#value),
                ::core::result::Result::Err(__error) => {
                    ::core::result::Result::Err(#private::failure(__error))
                }
            }
        }
    }

    fn awaited(&self, sig: &Signature, call: TokenStream) -> TokenStream {
        let private = &self.private;
        if sig.asyncness.is_some() { quote!(#private::block_on(#call)) } else { call }
    }

    /// What a call resolves to.
    fn value_type(&self, output: &ReturnType) -> TokenStream {
        let private = &self.private;
        match output {
            ReturnType::Default => quote!(()),
            ReturnType::Type(_, ty) if result_name(output).is_some() => {
                quote!(<#ty as #private::ResultType>::Ok)
            }
            ReturnType::Type(_, ty) => ty.to_token_stream(),
        }
    }

    /// Whether this is the type, or a `Result` of it.
    fn makes_actor(&self, output: &ReturnType) -> bool {
        let ReturnType::Type(_, ty) = output else { return false };
        let Type::Path(path) = ungrouped(ty) else { return false };
        let Some(last) = path.path.segments.last() else { return false };
        match &last.arguments {
            PathArguments::AngleBracketed(arguments) if last.ident == "Result" => {
                let first = arguments.args.first();
                let Some(GenericArgument::Type(Type::Path(ok))) = first else { return false };
                ok.path.is_ident(&self.name)
            }
            _ => path.path.is_ident(&self.name),
        }
    }

    /// The tokens with the type's name in place of `Self`.
    fn without_self(&self, tokens: TokenStream) -> TokenStream {
        let named = tokens.into_iter().map(|token| match token {
            TokenTree::Ident(ident) if ident == "Self" => {
                let mut name = self.name.clone();
                name.set_span(ident.span());
                TokenTree::Ident(name)
            }
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), self.without_self(group.stream()));
                inner.set_span(group.span());
                TokenTree::Group(inner)
            }
            other => other,
        });
        named.collect()
    }
}

/// A function that stays as it is.
fn plain(function: ImplItemFn) -> Result<Vec<ImplItem>> {
    Ok(vec![ImplItem::Fn(function)])
}

fn check(sig: &Signature) -> Result<()> {
    if sig.receiver().is_some() && !sig.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &sig.generics,
            "a method of an actor is known by name on every machine, so it cannot be generic",
        ));
    }
    if let Some(extra) = sig.inputs.iter().nth(MAX_PARAMETERS + 1) {
        let message = format!("a method of an actor has at most {MAX_PARAMETERS} parameters");
        return Err(Error::new_spanned(extra, message));
    }
    Ok(())
}

fn check_receiver(receiver: &Receiver) -> Result<()> {
    if matches!(receiver.kind, ReceiverKind::Reference(..)) {
        return Ok(());
    }
    Err(Error::new_spanned(
        receiver,
        "a method of an actor takes `&self` or `&mut self`: the actor stays where it is",
    ))
}

fn parameters(sig: &Signature) -> Vec<Parameter<'_>> {
    let types = sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(parameter) => Some(&*parameter.ty),
        FnArg::Receiver(_) => None,
    });
    types.map(Parameter::new).collect()
}

/// Names for the arguments.
fn names(parameters: &[Parameter<'_>]) -> Vec<Ident> {
    (0..parameters.len()).map(|i| format_ident!("__{i}")).collect()
}

/// The call of a function on arguments that were read.
fn call(
    function: &TokenStream,
    parameters: &[Parameter<'_>],
    receiver: Option<TokenStream>,
) -> TokenStream {
    let lends = parameters.iter().zip(names(parameters)).map(|(parameter, name)| {
        if parameter.is_borrowed() { quote!(&#name) } else { quote!(#name) }
    });
    let arguments = receiver.into_iter().chain(lends);
    quote!(#function(#(#arguments),*))
}

fn is(attribute: &Attr, names: &[&str]) -> bool {
    names.iter().any(|name| attribute.path().is_ident(name))
}
