//! The scheduler: a pure state and the shell that connects it to the network.
