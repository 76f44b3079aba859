//! Benchmarks; each answers a stated question.
