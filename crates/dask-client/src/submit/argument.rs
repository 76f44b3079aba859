//! What can be passed to a task, and how it becomes a call.

use std::sync::Arc;

use dask_proto::codec::Carriage;
use dask_proto::{Key, Payload, ValueError};
use dask_task::{CallWriter, Value};
use dask_tokenize::{Token, TokenizeError, Tokenizer};

use crate::Future;
use crate::future::hold::Hold;
use crate::future::travel::found_by;
use crate::graph::KeyRef;
use crate::graph::delayed::{Delayed, Node};

/// What fits a parameter of type `P`: a value, a reference to one (it is cloned), a future of one;
/// for a list also an array or a slice of its elements, or of futures of them; for text a `&str`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be passed to a task for a parameter of type `{P}`",
    label = "expected `{P}`, or a `Future<{P}>`",
    note = "a `&str` parameter takes text, a `&[T]` parameter a list of values or of futures"
)]
pub trait IntoArg<P> {
    #[doc(hidden)]
    fn write(self, call: &mut CallBuilder) -> Result<(), ArgumentError>;
}

/// What fits all parameters of a task: one argument as it is, several in a tuple, none as `()`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not fit the parameters `{P}` of the task",
    label = "these are not the task's arguments",
    note = "one argument is passed as it is, several in a tuple, none as `()`; each is a value or \
            a future of the parameter's type"
)]
pub trait IntoArgs<P> {
    #[doc(hidden)]
    fn write(self, call: &mut CallBuilder) -> Result<(), ArgumentError>;
}

/// An argument could not be made part of a call.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ArgumentError {
    /// The argument cannot be given a token.
    #[error("an argument cannot be given a key: {0}")]
    Token(Arc<TokenizeError>),
    /// The argument cannot be encoded.
    #[error(transparent)]
    Value(#[from] ValueError),
}

impl From<TokenizeError> for ArgumentError {
    fn from(error: TokenizeError) -> Self {
        Self::Token(Arc::new(error))
    }
}

/// Writes the arguments of calls, and their tokens with them.
#[doc(hidden)]
#[derive(Debug)]
pub struct CallBuilder {
    writer: CallWriter,
    tokenizers: Option<Tokenizers>,
    dependencies: Vec<Dependency>,
    found: Vec<Arc<Hold>>,
}

/// What makes the tokens of calls that begin alike.
#[derive(Debug)]
struct Tokenizers {
    start: Tokenizer,
    call: Tokenizer,
}

/// Up to how many dependencies are compared with the next.
const COMPARED: usize = 16;

/// Something whose result is an argument.
#[derive(Clone, Debug)]
pub(crate) enum Dependency {
    /// A future.
    Future(Arc<Hold>),
    /// A delayed call.
    Delayed(Arc<Node>),
    /// Another task of a raw graph.
    Key(Key),
}

/// A finished call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) body: Payload,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) token: Option<Token>,
}

impl CallBuilder {
    /// A builder of calls whose tokens begin with what this tokenizer was fed.
    pub(crate) fn new(carriage: Carriage, start: Option<Tokenizer>) -> Self {
        let writer = match carriage {
            Carriage::Objects => CallWriter::live(),
            Carriage::Bytes => CallWriter::encoded(),
        };
        let tokenizers = start.map(|start| Tokenizers { call: start.clone(), start });
        Self { writer, tokenizers, dependencies: Vec::new(), found: Vec::new() }
    }

    /// The call, and the futures in its values that were encoded: those in live values live in
    /// them. What comes now is of the next call.
    pub(crate) fn finish(&mut self) -> (Call, Vec<Arc<Hold>>) {
        let tokenizers = self.tokenizers.as_mut();
        let call = Call {
            body: self.writer.finish(),
            dependencies: std::mem::take(&mut self.dependencies),
            token: tokenizers.map(|Tokenizers { start, call }| call.restart(start)),
        };
        (call, std::mem::take(&mut self.found))
    }

    fn tokenizer(&mut self) -> Option<&mut Tokenizer> {
        self.tokenizers.as_mut().map(|tokenizers| &mut tokenizers.call)
    }

    fn value<T: Value>(&mut self, value: T) -> Result<(), ArgumentError> {
        if let Some(tokenizer) = self.tokenizer() {
            tokenizer.value(&value)?;
        }
        let (written, found) = found_by(|| self.writer.value(value));
        self.found.extend(found);
        Ok(written?)
    }

    pub(crate) fn dependency(&mut self, dependency: Dependency) {
        if let Some(tokenizer) = self.tokenizer() {
            tokenizer.key(dependency.key().as_str());
        }
        // A key that occurs twice is one dependency. Calls have few, so a search beats a map; the
        // futures of long lists are mostly distinct, and one that is not costs little.
        let compared = Some(&self.dependencies).filter(|known| known.len() <= COMPARED);
        let mut compared = compared.into_iter().flatten();
        let known = compared.position(|known| known.key() == dependency.key());
        let index = known.unwrap_or(self.dependencies.len());
        if known.is_none() {
            self.dependencies.push(dependency);
        }
        self.writer.dependency(u32::try_from(index).unwrap_or(u32::MAX));
    }

    pub(crate) fn list(&mut self, length: usize) {
        if let Some(tokenizer) = self.tokenizer() {
            tokenizer.begin_list(length);
        }
        self.writer.list(u32::try_from(length).unwrap_or(u32::MAX));
    }
}

impl Dependency {
    pub(crate) fn key(&self) -> &Key {
        match self {
            Self::Future(hold) => &hold.key,
            Self::Delayed(node) => &node.key,
            Self::Key(key) => key,
        }
    }
}

impl<T: Value> IntoArg<T> for T {
    fn write(self, call: &mut CallBuilder) -> Result<(), ArgumentError> {
        call.value(self)
    }
}

impl<T: Value> IntoArg<T> for &T {
    fn write(self, call: &mut CallBuilder) -> Result<(), ArgumentError> {
        call.value(self.clone())
    }
}

impl IntoArg<String> for &str {
    fn write(self, call: &mut CallBuilder) -> Result<(), ArgumentError> {
        call.value(self.to_owned())
    }
}

/// What a parameter that is a list takes besides a `Vec` of its elements.
macro_rules! lists {
    ($([$($n:tt)*] $form:ty => $element:ty, |$it:ident| $list:expr;)*) => {$(
        impl<$($n)*> IntoArg<Vec<$element>> for $form {
            fn write(self, call: &mut CallBuilder) -> Result<(), ArgumentError> {
                let $it = self;
                call.value($list)
            }
        }
    )*};
}

lists! {
    [T: Value] &[T] => T, |list| list.to_vec();
    [T: Value, const N: usize] [T; N] => T, |list| Vec::from(list);
    [T: Value, const N: usize] &[T; N] => T, |list| list.to_vec();
    [] Vec<&str> => String, |list| owned(&list);
    [] &Vec<&str> => String, |list| owned(list);
    [] &[&str] => String, |list| owned(list);
    [const N: usize] [&str; N] => String, |list| owned(&list);
    [const N: usize] &[&str; N] => String, |list| owned(list);
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}

/// Things that stand for a result: each is passed by value or by reference, alone or in a list.
macro_rules! dependencies {
    ($($kind:ident: |$it:ident| $dependency:expr;)*) => {$(
        impl<T: Value> IntoArg<T> for &$kind<T> {
            fn write(self, call: &mut CallBuilder) -> Result<(), ArgumentError> {
                let $it = self;
                call.dependency($dependency);
                Ok(())
            }
        }

        impl<T: Value> IntoArg<T> for $kind<T> {
            fn write(self, call: &mut CallBuilder) -> Result<(), ArgumentError> {
                IntoArg::<T>::write(&self, call)
            }
        }

        impl<T: Value> IntoArg<Vec<T>> for &[$kind<T>] {
            fn write(self, call: &mut CallBuilder) -> Result<(), ArgumentError> {
                call.list(self.len());
                self.iter().try_for_each(|element| IntoArg::<T>::write(element, call))
            }
        }

        impl<T: Value> IntoArg<Vec<T>> for &Vec<$kind<T>> {
            fn write(self, call: &mut CallBuilder) -> Result<(), ArgumentError> {
                IntoArg::<Vec<T>>::write(self.as_slice(), call)
            }
        }

        impl<T: Value> IntoArg<Vec<T>> for Vec<$kind<T>> {
            fn write(self, call: &mut CallBuilder) -> Result<(), ArgumentError> {
                IntoArg::<Vec<T>>::write(self.as_slice(), call)
            }
        }

        impl<T: Value, const N: usize> IntoArg<Vec<T>> for &[$kind<T>; N] {
            fn write(self, call: &mut CallBuilder) -> Result<(), ArgumentError> {
                IntoArg::<Vec<T>>::write(self.as_slice(), call)
            }
        }

        impl<T: Value, const N: usize> IntoArg<Vec<T>> for [$kind<T>; N] {
            fn write(self, call: &mut CallBuilder) -> Result<(), ArgumentError> {
                IntoArg::<Vec<T>>::write(self.as_slice(), call)
            }
        }

        impl<T: Value> IntoArg<Vec<T>> for &[&$kind<T>] {
            fn write(self, call: &mut CallBuilder) -> Result<(), ArgumentError> {
                call.list(self.len());
                self.iter().try_for_each(|&element| IntoArg::<T>::write(element, call))
            }
        }

        impl<T: Value> IntoArg<Vec<T>> for Vec<&$kind<T>> {
            fn write(self, call: &mut CallBuilder) -> Result<(), ArgumentError> {
                IntoArg::<Vec<T>>::write(self.as_slice(), call)
            }
        }

        impl<T: Value, const N: usize> IntoArg<Vec<T>> for [&$kind<T>; N] {
            fn write(self, call: &mut CallBuilder) -> Result<(), ArgumentError> {
                IntoArg::<Vec<T>>::write(self.as_slice(), call)
            }
        }
    )*};
}

dependencies! {
    Future: |future| Dependency::Future(future.hold.clone());
    Delayed: |delayed| delayed.dependency();
    KeyRef: |reference| Dependency::Key(reference.key.clone());
}

pub(crate) use dependencies;

impl IntoArgs<()> for () {
    fn write(self, _: &mut CallBuilder) -> Result<(), ArgumentError> {
        Ok(())
    }
}

impl<A: IntoArg<P>, P> IntoArgs<(P,)> for A {
    fn write(self, call: &mut CallBuilder) -> Result<(), ArgumentError> {
        IntoArg::write(self, call)
    }
}

macro_rules! several {
    ($($arg:ident $param:ident $name:ident),*) => {
        impl<$($param, $arg: IntoArg<$param>),*> IntoArgs<($($param,)*)> for ($($arg,)*) {
            fn write(self, call: &mut CallBuilder) -> Result<(), ArgumentError> {
                let ($($name,)*) = self;
                $($name.write(call)?;)*
                Ok(())
            }
        }
    };
}

several!(A P a, B Q b);
several!(A P a, B Q b, C R c);
several!(A P a, B Q b, C R c, D S d);
several!(A P a, B Q b, C R c, D S d, E T e);
several!(A P a, B Q b, C R c, D S d, E T e, F U f);
several!(A P a, B Q b, C R c, D S d, E T e, F U f, G V g);
several!(A P a, B Q b, C R c, D S d, E T e, F U f, G V g, H W h);
several!(A P a, B Q b, C R c, D S d, E T e, F U f, G V g, H W h, I X i);
several!(A P a, B Q b, C R c, D S d, E T e, F U f, G V g, H W h, I X i, J Y j);
several!(A P a, B Q b, C R c, D S d, E T e, F U f, G V g, H W h, I X i, J Y j, K Z k);
several!(A P a, B Q b, C R c, D S d, E T e, F U f, G V g, H W h, I X i, J Y j, K Z k, L O l);
