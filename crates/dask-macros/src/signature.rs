//! The text of a function's type, part of its identity. It is written from tokens, in one way
//! only: how the compiler prints tokens differs from version to version, and how the user breaks
//! lines says nothing.

use proc_macro2::{Delimiter, Punct, Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{FnArg, ReturnType, Signature};

/// The type of the function, such as `fn(&[i64], String) -> Result<f64, Error> v2`.
pub(crate) fn text(signature: &Signature, version: Option<u64>) -> String {
    let parameters: Vec<String> = signature
        .inputs
        .iter()
        .map(|input| match input {
            FnArg::Typed(parameter) => one_line(parameter.ty.to_token_stream()),
            FnArg::Receiver(receiver) => one_line(receiver.to_token_stream()),
        })
        .collect();
    let mut text = String::new();
    if signature.asyncness.is_some() {
        text.push_str("async ");
    }
    text.push_str("fn(");
    text.push_str(&parameters.join(", "));
    text.push(')');
    if let ReturnType::Type(_, ty) = &signature.output {
        text.push_str(" -> ");
        text.push_str(&one_line(ty.to_token_stream()));
    }
    if let Some(version) = version {
        text.push_str(&format!(" v{version}"));
    }
    text
}

/// A type on one line, spaced as rustfmt does.
fn one_line(tokens: TokenStream) -> String {
    let mut line = Line::default();
    line.add(tokens);
    line.text
}

#[derive(Default)]
struct Line {
    text: String,
    last: Last,
}

/// What the line ends with, as far as it decides whether a space follows.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// A word, which needs a space to the next word.
    Word,
    /// A keyword or a lifetime, which needs a space to the type behind it.
    Prefix,
    /// Something that a space follows, whatever comes.
    Separator,
    /// Something that nothing keeps apart from what follows.
    #[default]
    Tight,
}

impl Line {
    fn add(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        let mut commas = 0;
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Group(group) => self.group(group.delimiter(), group.stream()),
                TokenTree::Ident(word) => self.word(&word.to_string()),
                TokenTree::Literal(literal) => self.word(&literal.to_string()),
                TokenTree::Punct(punct) => {
                    let pair = tokens.peek().and_then(|next| pair(&punct, next));
                    match (punct.as_char(), pair) {
                        (',', _) => {
                            commas += 1;
                            if !is_trailing(tokens.peek(), commas) {
                                self.end(",", Last::Separator);
                            }
                        }
                        (_, Some(pair)) => {
                            tokens.next();
                            self.pair(pair);
                        }
                        (other, None) => self.punct(other),
                    }
                }
            }
        }
    }

    fn group(&mut self, delimiter: Delimiter, tokens: TokenStream) {
        let (open, close) = match delimiter {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::Brace => ("{ ", " }"),
            Delimiter::None => return self.add(tokens),
        };
        self.begin(open, Last::Tight);
        self.add(tokens);
        self.end(close, Last::Word);
    }

    fn word(&mut self, word: &str) {
        if self.last == Last::Word {
            self.text.push(' ');
        }
        // A lifetime is a quote and a word.
        let last = match word {
            "as" | "const" | "dyn" | "mut" => Last::Prefix,
            _ if self.text.ends_with('\'') => Last::Prefix,
            _ => Last::Word,
        };
        self.begin(word, last);
    }

    fn pair(&mut self, pair: &'static str) {
        match pair {
            "::" => self.begin(pair, Last::Tight),
            _ => self.operator(pair),
        }
    }

    fn punct(&mut self, punct: char) {
        let text = &*punct.encode_utf8(&mut [0; 4]).to_owned();
        match punct {
            '+' | '=' => self.operator(text),
            ';' | ':' => self.end(text, Last::Separator),
            '>' => self.end(text, Last::Word),
            '<' if self.last == Last::Word => self.end(text, Last::Tight),
            _ => self.begin(text, Last::Tight),
        }
    }

    fn operator(&mut self, text: &str) {
        self.text.push(' ');
        self.end(text, Last::Separator);
    }

    /// Adds what belongs to the text behind it.
    fn begin(&mut self, text: &str, last: Last) {
        if matches!(self.last, Last::Separator | Last::Prefix) {
            self.text.push(' ');
        }
        self.end(text, last);
    }

    /// Adds what belongs to the text before it.
    fn end(&mut self, text: &str, last: Last) {
        self.text.push_str(text);
        self.last = last;
    }
}

/// The operator of two characters that starts here.
fn pair(first: &Punct, next: &TokenTree) -> Option<&'static str> {
    let TokenTree::Punct(next) = next else {
        return None;
    };
    match (first.spacing(), first.as_char(), next.as_char()) {
        (Spacing::Joint, '-', '>') => Some("->"),
        (Spacing::Joint, ':', ':') => Some("::"),
        _ => None,
    }
}

/// Whether nothing but a closing bracket follows the comma; that of `(T,)` is no such comma.
fn is_trailing(next: Option<&TokenTree>, commas: usize) -> bool {
    match next {
        None => commas > 1,
        Some(TokenTree::Punct(next)) => next.as_char() == '>',
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use proc_macro2::Group;

    use super::*;

    fn of(function: &str) -> String {
        let function: syn::ItemFn = syn::parse_str(function).expect("a function");
        text(&function.sig, Some(2).filter(|_| function.sig.ident == "second"))
    }

    #[test]
    fn a_type_is_written_as_rustfmt_would() {
        let golden = [
            ("fn f() {}", "fn()"),
            ("fn second(x:i64)->i64 {}", "fn(i64) -> i64 v2"),
            (
                "async fn f(a: & [ i64 ], (b, c): (&'a str,f64,),) -> std :: io :: Result<()> {}",
                "async fn(&[i64], (&'a str, f64)) -> std::io::Result<()>",
            ),
            (
                "fn f(a: &'a [u8], mut b: [Vec<Option<u8,>>;2+3], _: (i64,)) {}",
                "fn(&'a [u8], [Vec<Option<u8>>; 2 + 3], (i64,))",
            ),
            (
                "fn f(a: Box<dyn Fn(u8,&str)->Vec<u8>+Send+'static>, b: ::std::vec::Vec<()>) {}",
                "fn(Box<dyn Fn(u8, &str) -> Vec<u8> + Send + 'static>, ::std::vec::Vec<()>)",
            ),
            (
                "fn f(a: <Vec<u8>as IntoIterator>::Item, b: for<'a>fn(&'a u8)->*const[u8]) {}",
                "fn(<Vec<u8> as IntoIterator>::Item, for<'a> fn(&'a u8) -> *const [u8])",
            ),
            (
                "fn f(a: Box<dyn Iterator<Item=u8>>) -> Wrapper<'static,{N},r#type> {}",
                "fn(Box<dyn Iterator<Item = u8>>) -> Wrapper<'static, { N }, r#type>",
            ),
        ];
        for (function, expected) in golden {
            assert_eq!(of(function), expected);
        }
    }

    #[test]
    fn invisible_groups_of_macros_leave_no_trace() {
        let inner = Group::new(Delimiter::None, quote::quote!(Vec<i64>));
        assert_eq!(one_line(quote::quote!(&#inner)), "&Vec<i64>");
    }
}
