use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::{Error, LitInt, LitStr, Path, Result};

/// The arguments of an attribute.
#[derive(Default)]
pub(crate) struct Arguments {
    krate: Option<Path>,
    version: Option<u64>,
}

/// Which of the attributes the arguments belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attribute {
    Task,
    Main,
    Actor,
}

impl Arguments {
    pub(crate) fn parse(attribute: Attribute, tokens: TokenStream) -> Result<Self> {
        let mut arguments = Self::default();
        let parser = syn::meta::parser(|meta| arguments.read(attribute, &meta));
        parser.parse2(tokens)?;
        Ok(arguments)
    }

    fn read(&mut self, attribute: Attribute, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if meta.path.is_ident("crate") {
            let path: LitStr = meta.value()?.parse()?;
            return set(&mut self.krate, path.parse()?, meta);
        }
        match attribute {
            Attribute::Task if meta.path.is_ident("version") => {
                let version: LitInt = meta.value()?.parse()?;
                set(&mut self.version, version.base10_parse()?, meta)
            }
            Attribute::Task => {
                Err(meta.error("unknown argument, expected `version = 2` or `crate = \"path\"`"))
            }
            Attribute::Main | Attribute::Actor => {
                Err(meta.error("unknown argument, expected `crate = \"path\"`"))
            }
        }
    }

    /// The module that the output names everything through.
    pub(crate) fn private(&self) -> TokenStream {
        match &self.krate {
            Some(path) => quote!(#path::__private),
            None => quote!(::dask_client::__private),
        }
    }

    pub(crate) fn version(&self) -> Option<u64> {
        self.version
    }
}

fn set<T>(place: &mut Option<T>, value: T, meta: &ParseNestedMeta<'_>) -> Result<()> {
    match place.replace(value) {
        Some(_) => Err(Error::new_spanned(&meta.path, "this argument is given twice")),
        None => Ok(()),
    }
}
