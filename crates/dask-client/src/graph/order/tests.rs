//! The order on the shapes of Dask's tests of its own: how many results are kept at most while the
//! tasks run one after the other. Dask's figures are those of `dask.order` of dask 2026.8.0 on the
//! same graphs, counted in the same way.

use super::{Index, order};

/// A graph that is being built; dependencies come first, as in a plan.
#[derive(Default)]
struct Shape(Vec<Vec<Index>>);

impl Shape {
    fn task(&mut self, dependencies: &[Index]) -> Index {
        self.0.push(dependencies.to_vec());
        Index::try_from(self.0.len() - 1).expect("few tasks")
    }

    fn tasks(&mut self, count: usize, dependencies: &[Index]) -> Vec<Index> {
        (0..count).map(|_| self.task(dependencies)).collect()
    }

    fn map(&mut self, tasks: &[Index]) -> Vec<Index> {
        tasks.iter().map(|task| self.task(&[*task])).collect()
    }

    fn chains(&mut self, tasks: &[Index], length: usize) -> Vec<Index> {
        (0..length).fold(tasks.to_vec(), |tasks, _| self.map(&tasks))
    }

    fn tree(&mut self, leaves: &[Index], by: usize) -> Index {
        let mut level = leaves.to_vec();
        while level.len() > 1 {
            level = level.chunks(by).map(|chunk| self.task(chunk)).collect();
        }
        level[0]
    }

    /// The most results that are kept at a time, that of the running task among them. Outputs do
    /// not count: no order lets go of them.
    fn peak(self) -> usize {
        let sequence = order(self.0.clone());
        let mut pending = vec![0; self.0.len()];
        let mut is_done = vec![false; self.0.len()];
        let lists: Vec<Vec<Index>> = self.0.into_iter().map(distinct).collect();
        for dependency in lists.iter().flatten() {
            pending[*dependency as usize] += 1;
        }
        let (mut kept, mut peak) = (0, 0);
        for task in &sequence {
            let dependencies = &lists[*task as usize];
            assert!(dependencies.iter().all(|d| is_done[*d as usize]), "a dependency comes later");
            assert!(!std::mem::replace(&mut is_done[*task as usize], true), "a task comes twice");
            kept += usize::from(pending[*task as usize] > 0);
            peak = peak.max(kept);
            for dependency in dependencies {
                pending[*dependency as usize] -= 1;
                kept -= usize::from(pending[*dependency as usize] == 0);
            }
        }
        assert!(is_done.iter().all(|done| *done), "a task is left out");
        assert_eq!(kept, 0);
        peak
    }
}

fn distinct(mut list: Vec<Index>) -> Vec<Index> {
    list.sort_unstable();
    list.dedup();
    list
}

/// Tests of a shape: the peak, and Dask's, which it must not be above.
macro_rules! peaks {
    ($($name:ident: $peak:literal, dask $dask:literal => |$shape:ident| $build:block)*) => {$(
        #[test]
        fn $name() {
            const { assert!($peak <= $dask) };
            let mut $shape = Shape::default();
            $build
            assert_eq!($shape.peak(), $peak);
        }
    )*};
}

peaks! {
    a_tree_by_two_keeps_a_result_a_level: 8, dask 8 => |shape| {
        let leaves = shape.tasks(64, &[]);
        shape.tree(&leaves, 2);
    }

    a_tree_by_four_keeps_three_results_a_level: 11, dask 11 => |shape| {
        let leaves = shape.tasks(64, &[]);
        shape.tree(&leaves, 4);
    }

    chains_run_one_after_the_other: 2, dask 2 => |shape| {
        let leaves = shape.tasks(16, &[]);
        shape.chains(&leaves, 5);
    }

    chains_into_a_tree_run_to_their_end: 8, dask 8 => |shape| {
        let leaves = shape.tasks(16, &[]);
        let ends = shape.chains(&leaves, 5);
        shape.tree(&ends, 4);
    }

    chains_on_a_shared_root_run_one_after_the_other: 3, dask 3 => |shape| {
        let root = shape.task(&[]);
        let leaves = shape.tasks(16, &[root]);
        shape.chains(&leaves, 3);
    }

    a_shared_root_is_kept_beside_its_tree: 8, dask 8 => |shape| {
        let root = shape.task(&[]);
        let leaves = shape.tasks(16, &[root]);
        let ends = shape.chains(&leaves, 3);
        shape.tree(&ends, 4);
    }

    many_outputs_of_the_same_leaves_are_computed_side_by_side: 18, dask 29 => |shape| {
        let leaves = shape.tasks(64, &[]);
        shape.tree(&leaves, 4);
        let others = shape.map(&leaves);
        shape.tree(&others, 4);
    }

    a_wide_diamond_keeps_its_middle: 17, dask 17 => |shape| {
        let root = shape.task(&[]);
        let middle = shape.tasks(16, &[root]);
        shape.task(&middle);
    }

    a_ladder_of_diamonds_is_climbed: 3, dask 3 => |shape| {
        let mut foot = shape.task(&[]);
        for _ in 0..16 {
            let sides = shape.tasks(2, &[foot]);
            foot = shape.task(&sides);
        }
    }

    a_zig_zag_is_followed: 2, dask 2 => |shape| {
        let leaves = shape.tasks(17, &[]);
        for pair in leaves.windows(2) {
            shape.task(pair);
        }
    }

    a_zig_zag_is_followed_whatever_the_order_of_its_outputs: 2, dask 2 => |shape| {
        let leaves = shape.tasks(17, &[]);
        for i in 0..16 {
            let first = i * 7 % 16;
            shape.task(&leaves[first..=first + 1]);
        }
    }

    overlapping_blocks_are_let_go_of: 11, dask 11 => |shape| {
        let leaves = shape.tasks(32, &[]);
        let overlapping: Vec<Index> = (0..32usize)
            .map(|i| shape.task(&leaves[i.saturating_sub(1)..(i + 2).min(32)]))
            .collect();
        shape.tree(&overlapping, 4);
    }

    a_matrix_product_keeps_one_factor_and_a_part_of_the_other: 29, dask 32 => |shape| {
        let (left, right) = (shape.tasks(16, &[]), shape.tasks(16, &[]));
        for (i, j) in (0..4).flat_map(|i| (0..4).map(move |j| (i, j))) {
            let products: Vec<Index> = (0..4)
                .map(|k| shape.task(&[left[4 * i + k], right[4 * k + j]]))
                .collect();
            shape.task(&products);
        }
    }

    a_fold_starts_with_its_accumulator: 3, dask 3 => |shape| {
        let leaves = shape.tasks(16, &[]);
        let mut last = leaves[0];
        for leaf in &leaves[1..] {
            last = shape.task(&[*leaf, last]);
        }
    }

    groups_that_are_needed_twice_are_computed_one_by_one: 17, dask 17 => |shape| {
        let sums: Vec<Index> = (0..8)
            .map(|_| {
                let leaves = shape.tasks(8, &[]);
                let mean = shape.task(&leaves);
                let differences: Vec<Index> =
                    leaves.iter().map(|leaf| shape.task(&[*leaf, mean])).collect();
                shape.task(&differences)
            })
            .collect();
        shape.task(&sums);
    }
}

#[test]
fn an_argument_that_is_used_twice_counts_once() {
    let mut shape = Shape::default();
    let leaf = shape.task(&[]);
    shape.task(&[leaf, leaf]);
    assert_eq!(shape.peak(), 1);
}

#[test]
fn the_order_of_a_long_chain_needs_no_stack() {
    let mut shape = Shape::default();
    let first = shape.task(&[]);
    shape.chains(&[first], 1_000_000);
    assert_eq!(shape.peak(), 2);
}

#[test]
fn a_wide_task_costs_no_more_than_its_edges() {
    let mut shape = Shape::default();
    let root = shape.task(&[]);
    let middle = shape.tasks(200_000, &[root]);
    shape.task(&middle);
    assert_eq!(shape.peak(), 200_001);
}

#[test]
fn nothing_is_ordered_to_nothing() {
    assert!(order(Vec::new()).is_empty());
}
