//! Task functions: arguments, values, the registry and what a running task may ask.
