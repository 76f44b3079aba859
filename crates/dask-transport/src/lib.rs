//! Moves frames between peers: the transport traits, TCP and in-process.
