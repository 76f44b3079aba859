/// Has a macro written for tuples of each length that verbs take several things in: the letters of
/// their types and the numbers of their places.
macro_rules! for_tuples {
    ($tuples:ident) => {
        $tuples! {
            (A 0)
            (A 0, B 1)
            (A 0, B 1, C 2)
            (A 0, B 1, C 2, D 3)
            (A 0, B 1, C 2, D 3, E 4)
            (A 0, B 1, C 2, D 3, E 4, F 5)
            (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
            (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
        }
    };
}

pub(crate) use for_tuples;
