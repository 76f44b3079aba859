use dask_proto::Key;
use dask_proto::limits::{MAX_KEY_BYTES, MAX_METADATA_DEPTH, VALUES_AT_ONCE};
use dask_proto::message::{
    Answer, CoordinationAnswer, CoordinationRefusal, MetadataAction, Refusal,
};

use super::{CoordinationTable, Named, Outcome};
use crate::state::client::request::Asked;

impl CoordinationTable {
    pub(super) fn metadata(
        &mut self,
        asked: Asked,
        path: Vec<Key>,
        action: &MetadataAction,
    ) -> Outcome {
        let bytes: usize = path.iter().map(|name| name.as_str().len()).sum();
        if path.len() > MAX_METADATA_DEPTH || bytes > MAX_KEY_BYTES {
            return Ok(Some(Answer::Refused(Refusal::TooLarge)));
        }
        if let MetadataAction::Get = action {
            let below = self.metadata_at(&path).filter_map(|(at, named)| {
                let value = self.kept.get(named.value)?;
                Some((at[path.len()..].to_vec(), value.payload.clone()))
            });
            let below: Vec<_> = below.take(VALUES_AT_ONCE + 1).collect();
            if below.len() > VALUES_AT_ONCE {
                return Ok(Some(Answer::Refused(Refusal::TooLarge)));
            }
            let below = CoordinationAnswer::Metadata(below);
            return Ok(Some(Answer::Coordination(below)));
        }
        let above = (0..path.len()).map(|length| &path[..length]);
        let mut above = above.filter(|above| self.metadata.contains_key(*above));
        if let Some(above) = above.next() {
            let last = above.last().or(path.first()).cloned();
            return Err(last.map_or(CoordinationRefusal::IdInUse, CoordinationRefusal::NotNested));
        }
        let old: Vec<(Vec<Key>, Named)> =
            self.metadata_at(&path).map(|(at, named)| (at.clone(), named)).collect();
        if old.is_empty() {
            self.check_name_of(asked.0)?;
        }
        let Some(value) = self.kept.brought.take() else { return Ok(None) };
        for (at, named) in old {
            self.metadata.remove(&at);
            self.kept.drop_one(named.value);
            self.shares.remove(named.by);
        }
        self.shares.add(asked.0);
        self.metadata.insert(path, Named { value, by: asked.0 });
        Ok(Some(Answer::Done))
    }

    /// What is there and below.
    fn metadata_at<'a>(&'a self, path: &'a [Key]) -> impl Iterator<Item = (&'a Vec<Key>, Named)> {
        let from = self.metadata.range(path.to_vec()..);
        let below = from.take_while(move |(at, _)| at.starts_with(path));
        below.map(|(at, named)| (at, *named))
    }
}
