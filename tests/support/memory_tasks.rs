//! Tasks that take memory.

use std::net::TcpStream;

use std::io::{Read, Write};

use dask_client::{Result, task};

/// The `i`th number of [`block`].
#[must_use]
pub fn word(seed: u64, i: u64) -> u64 {
    seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(i.wrapping_mul(0xBF58_476D_1CE4_E5B9))
}

/// So many numbers, eight bytes each.
#[task]
pub fn block(seed: u64, length: u64) -> Vec<u64> {
    (0..length).map(|i| word(seed, i)).collect()
}

/// The sums of two blocks, number by number.
#[task]
pub fn merge(a: &[u64], b: &[u64]) -> Vec<u64> {
    a.iter().zip(b).map(|(a, b)| a.wrapping_add(*b)).collect()
}

/// So many equal bytes.
#[task]
pub fn fill(byte: u8, length: usize) -> Vec<u8> {
    vec![byte; length]
}

/// How many bytes there are, and whether the first, the middle and the last are this.
#[task]
pub fn count(bytes: &[u8], byte: u8) -> usize {
    let middle = bytes.get(bytes.len() / 2);
    let places = [bytes.first(), middle, bytes.last()];
    if places.iter().all(|place| place == &Some(&byte)) { bytes.len() } else { 0 }
}

/// Takes memory that is no result until the [`Gate`](crate::gate::Gate) opens.
#[task]
pub fn hog(gate: &str, bytes: usize) -> Result<usize, std::io::Error> {
    let taken = std::hint::black_box(vec![1_u8; bytes]);
    let mut gate = TcpStream::connect(gate)?;
    gate.write_all(&std::process::id().to_le_bytes())?;
    gate.write_all(&0_i64.to_le_bytes())?;
    // The end of the stream opens the gate as well.
    let _ = gate.read(&mut [0; 1])?;
    Ok(taken.len())
}
