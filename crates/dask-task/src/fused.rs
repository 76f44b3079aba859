//! Several calls as one task: what a graph that was fused consists of.

use dask_proto::{Payload, ValueError};
use serde::{Deserialize, Serialize};

use crate::{CallWriter, Failure, InputError, Inputs, MalformedCall, TaskDef, registry};

/// Calls that one task makes, one after the other; the result of the last is the task's.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Fused {
    steps: Vec<Step>,
}

/// One of the calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Step {
    path: String,
    signature: String,
    #[serde(with = "body")]
    body: Payload,
    /// What the call's dependencies are, in their order.
    inputs: Vec<Source>,
}

/// Where a call of a fused task has a dependency from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A dependency of the task, by its position.
    Task(u32),
    /// The result of an earlier call, by its position.
    Step(u32),
}

/// The function of fused tasks, which every program has.
pub static FUSED: TaskDef =
    TaskDef { path: "dask_task::fused", signature: "fn(Fused, ..)", body: run };

inventory::submit! { &FUSED }

impl Fused {
    /// Adds a call of this function with this body, whose dependencies come from `inputs`.
    pub fn push(&mut self, def: &TaskDef, body: Payload, inputs: Vec<Source>) {
        let (path, signature) = (def.path.to_owned(), def.signature.to_owned());
        self.steps.push(Step { path, signature, body, inputs });
    }

    /// Writes the call of [`FUSED`] for a task with this many dependencies.
    ///
    /// # Errors
    /// When the arguments of a call have to be encoded and cannot be.
    pub fn write(self, call: &mut CallWriter, dependencies: u32) -> Result<(), ValueError> {
        call.value(self)?;
        (0..dependencies).for_each(|index| call.dependency(index));
        Ok(())
    }

    /// How often the result of each call is used.
    fn uses(&self) -> Vec<u32> {
        let mut uses = vec![0_u32; self.steps.len()];
        for source in self.steps.iter().flat_map(|step| &step.inputs) {
            if let Source::Step(step) = *source
                && let Some(uses) = uses.get_mut(step as usize)
            {
                *uses += 1;
            }
        }
        uses
    }
}

fn run(inputs: &mut Inputs) -> Result<Payload, Failure> {
    let fused: Fused = inputs.owned(0)?;
    let dependencies = inputs.payloads(1);
    let mut uses = fused.uses();
    let mut results: Vec<Option<Payload>> = Vec::with_capacity(fused.steps.len());
    for step in fused.steps {
        if step.path == FUSED.path {
            // Nobody makes one of another, and each would take a part of the stack.
            return Err(malformed());
        }
        let found = registry::find(&step.path, &step.signature);
        let def = found.map_err(|error| Failure::Returned(Box::new(error)))?;
        let given = step.inputs.iter().map(|source| match *source {
            Source::Task(index) => dependencies.get(index as usize).cloned(),
            Source::Step(index) => {
                let result = results.get_mut(index as usize)?;
                uses[index as usize] -= 1;
                // The last use has it for itself, and need not clone it to change it.
                if uses[index as usize] == 0 { result.take() } else { result.clone() }
            }
        });
        let given: Vec<Payload> = given.collect::<Option<_>>().ok_or_else(malformed)?;
        let mut arguments = Inputs::new(&step.body, &given).map_err(InputError::from)?;
        drop((step.body, given));
        let result = def.run(&mut arguments);
        results.push(Some(result.map_err(|failure| failure.inside(def))?));
    }
    results.pop().flatten().ok_or_else(malformed)
}

fn malformed() -> Failure {
    InputError::from(MalformedCall).into()
}

/// Arguments are encoded only where they leave the process.
mod body {
    use dask_proto::Payload;
    use serde::{Deserialize, Deserializer, Serializer, ser};

    pub(super) fn serialize<S: Serializer>(body: &Payload, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_bytes(&body.to_bytes().map_err(ser::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Payload, D::Error> {
        Ok(bytes::Bytes::from(Vec::<u8>::deserialize(input)?).into())
    }
}

#[cfg(test)]
mod tests {
    use dask_proto::{Key, TaskErrorKind};

    use super::*;
    use crate::{failure, live, take};

    static ADD: TaskDef = TaskDef { path: "fused::add", signature: "fn(i64, i64)", body: add };
    static FAIL: TaskDef = TaskDef { path: "fused::fail", signature: "fn(i64)", body: fail };

    inventory::submit! { &ADD }
    inventory::submit! { &FAIL }

    fn add(inputs: &mut Inputs) -> Result<Payload, Failure> {
        Ok(live(inputs.owned::<i64>(0)? + inputs.owned::<i64>(1)?))
    }

    fn fail(_: &mut Inputs) -> Result<Payload, Failure> {
        Err(failure("it never works"))
    }

    /// `(d0 + 10) + (d0 + 10)`, and then a call of this function.
    fn fused(last: &TaskDef) -> Fused {
        let call = |value: Option<i64>, dependencies: u32| {
            let mut writer = CallWriter::live();
            (0..dependencies).for_each(|index| writer.dependency(index));
            value.into_iter().for_each(|value| writer.value(value).expect("it is live"));
            writer.finish()
        };
        let mut fused = Fused::default();
        fused.push(&ADD, call(Some(10), 1), vec![Source::Task(0)]);
        fused.push(last, call(None, 2), vec![Source::Step(0), Source::Step(0)]);
        fused
    }

    fn run_task(fused: Fused, mut writer: CallWriter) -> Result<Payload, Failure> {
        fused.write(&mut writer, 1).expect("it encodes");
        let mut inputs = Inputs::new(&writer.finish(), &[live(1_i64)]).expect("well-formed");
        FUSED.run(&mut inputs)
    }

    #[test]
    fn calls_are_made_one_after_the_other_live_and_encoded() {
        for writer in [CallWriter::live(), CallWriter::encoded()] {
            let result = run_task(fused(&ADD), writer).expect("it works");
            assert_eq!(take::<i64>(result), Ok(22));
        }
    }

    #[test]
    fn a_failure_names_the_function_that_failed() {
        let failure = run_task(fused(&FAIL), CallWriter::live()).expect_err("it fails");
        let error = failure.into_task_error(Key::new("k").expect("it is short"), &FUSED, None);
        assert_eq!(
            (error.function.as_str(), error.message.as_str()),
            ("fused::fail", "it never works")
        );
    }

    #[test]
    fn nonsense_is_an_error() {
        let mut later = Fused::default();
        later.push(&ADD, CallWriter::live().finish(), vec![Source::Step(0)]);
        let mut beyond = Fused::default();
        beyond.push(&ADD, CallWriter::live().finish(), vec![Source::Task(7)]);
        let mut nested = Fused::default();
        nested.push(&FUSED, CallWriter::live().finish(), Vec::new());
        for fused in [later, beyond, nested, Fused::default()] {
            let writer = CallWriter::encoded();
            let failure = run_task(fused, writer).expect_err("it is malformed");
            let error = failure.into_task_error(Key::new("k").expect("it is short"), &FUSED, None);
            assert_eq!(error.kind, TaskErrorKind::Serialization);
        }
    }
}
