use dask_proto::id::WorkerId;

/// The position of a worker among those of its group: first those with room for root tasks, then
/// by load, then by id.
///
/// All three in one word, since workers are moved among ten thousand others for every few tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::state) struct Rank(u64);

/// Whether a worker has room for root tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::state) enum Room {
    Some,
    None,
}

const FULL: u64 = 1 << (u64::BITS - 1);

impl Rank {
    /// The first position of those without room.
    pub(in crate::state) const FIRST_FULL: Self = Self(FULL);

    /// The position of a worker whose threads will be busy for so many nanoseconds.
    pub(in crate::state) fn new(worker: WorkerId, nanos: u64, room: Room) -> Self {
        let full = if room == Room::None { FULL } else { 0 };
        Self(full | u64::from(step(nanos)) << u32::BITS | u64::from(worker.0))
    }

    pub(in crate::state) fn worker(self) -> WorkerId {
        // Its lower half.
        WorkerId(self.0 as u32)
    }

    pub(in crate::state) fn is_full(self) -> bool {
        self >= Self::FIRST_FULL
    }

    /// What is compared where it does not matter whether there is room.
    pub(in crate::state) fn load(self) -> impl Ord + use<> {
        self.0 & !FULL
    }
}

/// A load in steps of some per cent: a worker moves among the others when its load changes by as
/// much, and not with every short task.
fn step(nanos: u64) -> u32 {
    const FINEST: u32 = 14;
    const LEADING: u32 = 5;
    let bits = u64::BITS - nanos.leading_zeros();
    let finer = bits.saturating_sub(LEADING).saturating_sub(FINEST);
    // At most the leading bits, so it fits.
    let leading = (nanos >> (FINEST + finer)) as u32;
    (finer << (LEADING - 1)) + leading
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_with_room_come_first_and_then_the_idlest() {
        let rank = |worker, nanos, room| Rank::new(WorkerId(worker), nanos, room);
        let order = [
            rank(7, 0, Room::Some),
            rank(u32::MAX, 0, Room::Some),
            rank(1, 1 << 20, Room::Some),
            rank(0, u64::MAX, Room::Some),
            rank(0, 0, Room::None),
            rank(3, 1 << 40, Room::None),
        ];
        assert!(order.is_sorted() && order[3] < Rank::FIRST_FULL && order[4] >= Rank::FIRST_FULL);
        assert!(order.iter().map(|rank| rank.worker().0).eq([7, u32::MAX, 1, 0, 0, 3]));
        assert!(
            order.iter().map(|rank| rank.is_full()).eq([false, false, false, false, true, true])
        );
        assert!(order[4].load() < order[0].load() && order[5].load() > order[2].load());
    }

    #[test]
    fn a_step_is_a_few_per_cent_of_a_load() {
        let loads =
            (14..64).flat_map(|bits| (32..64).map(move |part: u64| (1 << bits) / 32 * part));
        let loads: Vec<u64> = loads.collect();
        let steps: Vec<u32> = loads.iter().map(|load| step(*load)).collect();
        assert!(steps.is_sorted() && step(0) == 0 && step(u64::MAX) == *steps.last().unwrap());
        let usual = loads.into_iter().filter(|load| (1 << 18..1 << 63).contains(load));
        assert!(usual.clone().all(|load| step(load) < step(load + load / 8)));
        assert!(usual.clone().any(|load| step(load) == step(load + load / 64)));
        assert_eq!(step(1_000_000), step(1_010_000));
    }
}
