use std::collections::BTreeMap;

/// What is said to peers, one batch for each.
///
/// What is said next is mostly to the peer that was spoken to last, so its batch is at hand.
#[derive(Debug)]
pub(super) struct Batches<Id, Batch> {
    places: BTreeMap<Id, usize>,
    batches: Vec<Batch>,
    last: Option<(Id, usize)>,
}

impl<Id, Batch> Default for Batches<Id, Batch> {
    fn default() -> Self {
        Self { places: BTreeMap::new(), batches: Vec::new(), last: None }
    }
}

impl<Id: Ord + Copy, Batch: Default> Batches<Id, Batch> {
    /// The batch of a peer.
    pub(super) fn of(&mut self, peer: Id) -> &mut Batch {
        let place = match self.last {
            Some((last, place)) if last == peer => place,
            _ => self.turn_to(peer),
        };
        &mut self.batches[place]
    }

    fn turn_to(&mut self, peer: Id) -> usize {
        let new = self.batches.len();
        let place = *self.places.entry(peer).or_insert(new);
        if place == new {
            self.batches.push(Batch::default());
        }
        self.last = Some((peer, place));
        place
    }

    /// Forgets what was to be said to a peer.
    pub(super) fn discard(&mut self, peer: Id) {
        if let Some(place) = self.places.remove(&peer) {
            self.batches[place] = Batch::default();
            self.last = None;
        }
    }

    /// All batches, in the order of the peers.
    pub(super) fn into_iter(mut self) -> impl Iterator<Item = (Id, Batch)> {
        let places = self.places.into_iter();
        places.map(move |(peer, place)| (peer, std::mem::take(&mut self.batches[place])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_has_one_batch() {
        let mut batches: Batches<u32, Vec<char>> = Batches::default();
        for (peer, word) in [(2, 'a'), (2, 'b'), (1, 'c'), (3, 'd'), (2, 'e')] {
            batches.of(peer).push(word);
        }
        batches.discard(3);
        batches.discard(2);
        batches.of(2).push('f');
        let all: Vec<_> = batches.into_iter().collect();
        assert_eq!(all, [(1, vec!['c']), (2, vec!['f'])]);
    }
}
