use dask_proto::Key;
use dask_proto::message::{Answer, CoordinationAnswer, CoordinationRefusal, DatasetAction};

use super::{CoordinationTable, Outcome};
use crate::state::request::Asked;

impl CoordinationTable {
    pub(super) fn dataset(&mut self, asked: Asked, action: DatasetAction) -> Outcome {
        match action {
            DatasetAction::Publish { name, overwrite, .. } => {
                if !overwrite && self.datasets.contains_key(&name) {
                    return Err(CoordinationRefusal::DatasetExists(name));
                }
                if !self.datasets.contains_key(&name) {
                    self.check_name()?;
                }
                let Some(value) = self.kept.brought.take() else { return Ok(None) };
                let old = self.datasets.insert(name, value);
                old.into_iter().for_each(|old| self.kept.drop_one(old));
            }
            DatasetAction::Get(name) => {
                let Some(value) = self.datasets.get(&name) else {
                    return Err(CoordinationRefusal::NoDataset(name));
                };
                let value = self.kept.share(*value);
                return Ok(Some(self.answer_values(asked, None, vec![value])));
            }
            DatasetAction::List => {
                let names: Vec<Key> = self.datasets.keys().cloned().collect();
                return Ok(Some(Answer::Coordination(CoordinationAnswer::Names(names))));
            }
            DatasetAction::Unpublish(name) => {
                let Some(value) = self.datasets.remove(&name) else {
                    return Err(CoordinationRefusal::NoDataset(name));
                };
                self.kept.drop_one(value);
            }
            // A client of a later version asks for more than this scheduler has.
            _ => return Ok(Some(Answer::Refused(dask_proto::message::Refusal::TooLarge))),
        }
        Ok(Some(Answer::Done))
    }
}
