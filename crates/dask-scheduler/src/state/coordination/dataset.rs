use dask_proto::Key;
use dask_proto::message::{Answer, CoordinationAnswer, CoordinationRefusal, DatasetAction};

use super::{CoordinationTable, Named, Outcome};
use crate::state::client::request::Asked;

impl CoordinationTable {
    pub(super) fn dataset(&mut self, asked: Asked, action: DatasetAction) -> Outcome {
        match action {
            DatasetAction::Publish { name, overwrite, .. } => {
                if !overwrite && self.datasets.contains_key(&name) {
                    return Err(CoordinationRefusal::DatasetExists(name));
                }
                if !self.datasets.contains_key(&name) {
                    self.check_name_of(asked.0)?;
                }
                let Some(value) = self.kept.brought.take() else { return Ok(None) };
                if let Some(named) = self.datasets.get_mut(&name) {
                    let old = std::mem::replace(&mut named.value, value);
                    self.kept.drop_one(old);
                } else {
                    self.shares.add(asked.0);
                    self.datasets.insert(name, Named { value, by: asked.0 });
                }
            }
            DatasetAction::Get(name) => {
                let Some(named) = self.datasets.get(&name) else {
                    return Err(CoordinationRefusal::NoDataset(name));
                };
                let value = self.kept.share(named.value);
                return Ok(Some(self.answer_values(asked, None, vec![value])));
            }
            DatasetAction::List => {
                let names: Vec<Key> = self.datasets.keys().cloned().collect();
                return Ok(Some(Answer::Coordination(CoordinationAnswer::Names(names))));
            }
            DatasetAction::Unpublish(name) => {
                let Some(named) = self.datasets.remove(&name) else {
                    return Err(CoordinationRefusal::NoDataset(name));
                };
                self.kept.drop_one(named.value);
                self.shares.remove(named.by);
            }
            // A client of a later version asks for more than this scheduler has.
            _ => return Ok(Some(Answer::Refused(dask_proto::message::Refusal::TooLarge))),
        }
        Ok(Some(Answer::Done))
    }
}
