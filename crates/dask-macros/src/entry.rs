//! `#[main]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, ItemFn, Result, parse_quote};

use crate::arguments::{Arguments, Attribute};

pub(crate) fn expand(arguments: TokenStream, item: &TokenStream) -> Result<TokenStream> {
    let arguments = Arguments::parse(Attribute::Main, arguments)?;
    let mut function: ItemFn = syn::parse2(item.clone()).map_err(|_| {
        Error::new_spanned(
            item,
            "`#[dask_client::main]` goes on the main function: `async fn main()` or `fn main()`",
        )
    })?;
    refuse(&function)?;
    let private = arguments.private();
    if function.sig.asyncness.is_none() {
        let statement = parse_quote!(#private::role(););
        function.block.stmts.insert(0, statement);
        return Ok(function.into_token_stream());
    }
    // The body stays a function of its own, which says what its `?` and `Ok` are to become.
    let mut body = function.clone();
    body.attrs.clear();
    body.vis = syn::Visibility::Inherited;
    let name = &body.sig.ident;
    function.sig.asyncness = None;
    function.block = parse_quote!({
        #body
        #private::run_main(#name)
    });
    Ok(quote!(#function))
}

fn refuse(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    if !signature.inputs.is_empty() {
        return Err(Error::new_spanned(
            &signature.inputs,
            "the main function has no parameters: read the command line with `std::env::args()`",
        ));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(&signature.generics, "the main function cannot be generic"));
    }
    Ok(())
}
