//! What cannot be a task, and what to write instead.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Error, FnArg, GenericParam, ItemFn, PatType, Result, ReturnType, Safety, Signature, Type,
};

use crate::parameter::{MAX_PARAMETERS, ungrouped};

/// Every reason why the function cannot be a task, as one error.
pub(crate) fn check(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    let mut reasons = Reasons(None);
    qualifiers(signature, &mut reasons);
    generics(signature, &mut reasons);
    if let Some(extra) = signature.inputs.iter().nth(MAX_PARAMETERS) {
        let count = signature.inputs.len();
        reasons.add(
            extra,
            &format!(
                "a task has at most {MAX_PARAMETERS} parameters, this one has {count}: gather \
                 some of them in a struct or a tuple"
            ),
        );
    }
    for input in &signature.inputs {
        match input {
            FnArg::Receiver(receiver) => reasons.add(
                receiver,
                "a task is a free function and has no `self`: pass the value as a parameter, \
                 `value: &T`",
            ),
            FnArg::Typed(parameter) => self::parameter(parameter, &mut reasons),
        }
    }
    if let Some(variadic) = &signature.variadic {
        reasons.add(variadic, "a task has a fixed number of parameters: take a `&[T]`");
    }
    if let ReturnType::Type(_, ty) = &signature.output {
        output(ty, &mut reasons);
    }
    reasons.0.map_or(Ok(()), Err)
}

struct Reasons(Option<Error>);

impl Reasons {
    fn add(&mut self, tokens: impl ToTokens, message: &str) {
        let error = Error::new_spanned(tokens, message);
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }
}

fn qualifiers(signature: &Signature, reasons: &mut Reasons) {
    if let Some(token) = &signature.constness {
        reasons.add(token, "a task cannot be a `const fn`: it runs on a worker");
    }
    if let Safety::Unsafe(token) = &signature.safety {
        reasons.add(
            token,
            "a task cannot be `unsafe`: a worker cannot know what the caller has to uphold, so \
             call the unsafe function from a safe one",
        );
    }
    if let Some(abi) = &signature.abi {
        reasons
            .add(abi, "a task cannot be `extern`: call the foreign function from a Rust function");
    }
}

fn generics(signature: &Signature, reasons: &mut Reasons) {
    const CONCRETE: &str = "a task is known by name on every machine, so it cannot be generic: \
                            write one with concrete types, which may call a generic function";
    for parameter in &signature.generics.params {
        match parameter {
            GenericParam::Lifetime(lifetime) if lifetime.bounds.is_empty() => {}
            GenericParam::Lifetime(lifetime) => reasons.add(
                lifetime,
                "the arguments of a task all live as long as the call: leave the bound out",
            ),
            GenericParam::Type(parameter) => reasons.add(parameter, CONCRETE),
            GenericParam::Const(parameter) => reasons.add(parameter, CONCRETE),
        }
    }
    if let Some(clause) = &signature.generics.where_clause {
        reasons.add(clause, "a task has concrete types and needs no `where` clause");
    }
}

fn parameter(parameter: &PatType, reasons: &mut Reasons) {
    if let Some(cfg) = parameter.attrs.iter().find(|a| a.path().is_ident("cfg")) {
        reasons.add(
            cfg,
            "the parameters of a task are the same on every machine: put `#[cfg]` on the \
             whole function",
        );
    }
    let ty = ungrouped(&parameter.ty);
    let inner = match ty {
        Type::Reference(reference) => {
            if reference.mutability.is_some() {
                return reasons.add(
                    reference,
                    "a task cannot change its arguments in place, since other tasks share them: \
                     take `T`, change it and return it",
                );
            }
            if let Some(lifetime) = reference.lifetime.as_ref().filter(|l| l.ident == "static") {
                reasons.add(lifetime, "an argument lives as long as the call: leave `'static` out");
            }
            ungrouped(&reference.elem)
        }
        other => other,
    };
    if has_word(inner, "impl") {
        return reasons.add(
            ty,
            "a task is known by name on every machine, so it cannot take `impl Trait`, which is \
             a generic parameter: write a concrete type",
        );
    }
    if has_word(inner, "dyn") {
        return reasons.add(
            ty,
            "a trait object cannot travel to another machine: write a concrete type, such as an \
             enum",
        );
    }
    if borrows(inner.to_token_stream()) {
        reasons.add(
            ty,
            "a parameter of a task is borrowed as a whole, as `&T`, `&[T]` or `&str`: inside of \
             it write owned types, such as `String` for `&str`",
        );
    }
}

fn output(ty: &Type, reasons: &mut Reasons) {
    let ty = ungrouped(ty);
    if has_word(ty, "impl") {
        reasons.add(
            ty,
            "the result of a task travels between machines, so its type must be known: return a \
             concrete type instead of `impl Trait`",
        );
    } else if matches!(ty, Type::Reference(_)) || borrows(ty.to_token_stream()) {
        reasons.add(
            ty,
            "the result of a task outlives its arguments, so it cannot borrow: return an owned \
             value, such as `String` for `&str` or `Vec<T>` for `&[T]`",
        );
    }
}

/// Whether this type says `impl` or `dyn` somewhere.
fn has_word(ty: &Type, word: &str) -> bool {
    fn within(tokens: TokenStream, word: &str) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(ident) => ident == word,
            TokenTree::Group(group) => within(group.stream(), word),
            _ => false,
        })
    }
    within(ty.to_token_stream(), word)
}

/// Whether a type with these tokens borrows from anything that is not `'static`.
fn borrows(tokens: TokenStream) -> bool {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let borrowed = match token {
            TokenTree::Group(group) => borrows(group.stream()),
            TokenTree::Punct(punct) if punct.as_char() == '\'' => {
                !matches!(tokens.next(), Some(TokenTree::Ident(name)) if name == "static")
            }
            TokenTree::Punct(punct) if punct.as_char() == '&' => !matches!(
                tokens.peek(),
                Some(TokenTree::Punct(next)) if next.as_char() == '\''
            ),
            _ => false,
        };
        if borrowed {
            return true;
        }
    }
    false
}
