//! One value in one file: its encoding, compressed where that makes it smaller, with a checksum.
//!
//! This is the one place that knows how values are compressed. Nobody else reads the files, and
//! none outlives its worker.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use bytes::Bytes;
use dask_proto::{Payload, Split, ValueError};
use lz4_flex::frame::{BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::Work;

/// A value on disk. The file is removed with the last reference to it.
#[derive(Debug)]
pub(crate) struct SpillFile {
    path: PathBuf,
    /// Bytes of the encoded value.
    nbytes: usize,
    /// Bytes of the file.
    on_disk: u64,
    /// Removes the file, so that nobody who lets go of it waits for the disk.
    remover: Sender<Work>,
}

/// A value could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// It cannot be encoded.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The disk is full or broken.
    #[error(transparent)]
    Disk(#[from] io::Error),
}

/// A value could not be read back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The file is gone, broken or cannot be read.
    #[error(transparent)]
    Disk(#[from] io::Error),
    /// The file is not as it was written.
    #[error("the file has {found} bytes in place of {expected}")]
    Length {
        /// Bytes that it had.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// There is no memory for the value.
    #[error("there is no memory for {0} bytes")]
    Memory(usize),
}

impl SpillFile {
    /// Writes a value, piece by piece: it is there to save memory. What was written of one that
    /// fails is removed.
    pub(super) fn write(
        path: PathBuf,
        value: &Payload,
        remover: Sender<Work>,
    ) -> Result<Self, WriteError> {
        let (nbytes, on_disk) = write(&path, value).inspect_err(|_| {
            // It may not even have been created.
            let _ = std::fs::remove_file(&path);
        })?;
        Ok(Self { path, nbytes, on_disk, remover })
    }

    /// Reads the value back: all of it, as it was written.
    pub(crate) fn read(&self) -> Result<Payload, ReadError> {
        let file = File::open(&self.path)?;
        let found = file.metadata()?.len();
        if found != self.on_disk {
            return Err(ReadError::Length { expected: self.on_disk, found });
        }
        let mut decoder = FrameDecoder::new(BufReader::new(file));
        let mut value = Vec::new();
        value.try_reserve_exact(self.nbytes).map_err(|_| ReadError::Memory(self.nbytes))?;
        loop {
            let piece = decoder.fill_buf()?;
            let length = piece.len();
            // To the end of the frame, where its checksum is.
            if length == 0 {
                break;
            }
            let (expected, found) = (self.nbytes as u64, (value.len() + length) as u64);
            if found > expected {
                return Err(ReadError::Length { expected, found });
            }
            value.extend_from_slice(piece);
            decoder.consume(length);
        }
        if value.len() != self.nbytes {
            let (expected, found) = (self.nbytes as u64, value.len() as u64);
            return Err(ReadError::Length { expected, found });
        }
        Ok(Bytes::from(value).into())
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        // Without the thread, the whole directory is gone.
        let _ = self.remover.send(Work::Remove(std::mem::take(&mut self.path)));
    }
}

/// The bytes of the value and of the file.
fn write(path: &Path, value: &Payload) -> Result<(usize, u64), WriteError> {
    write_to(File::create_new(path)?, value)
}

fn write_to(file: File, value: &Payload) -> Result<(usize, u64), WriteError> {
    let info = FrameInfo::new().block_size(BlockSize::Max256KB).content_checksum(true);
    let encoder = FrameEncoder::with_frame_info(info, BufWriter::new(file));
    let mut sink = Sink { encoder, error: None, nbytes: 0 };
    let encoded = match value {
        Payload::Bytes(bytes) => sink.write_all(bytes).map_err(WriteError::Disk),
        Payload::Small(bytes) => sink.write_all(bytes).map_err(WriteError::Disk),
        Payload::Split(split) => {
            let Split { head, tail } = &**split;
            let written = sink.write_all(head).and_then(|()| sink.write_all(tail));
            written.map_err(WriteError::Disk)
        }
        Payload::Object(object) => object.encode_to(&mut sink).map_err(WriteError::Value),
    };
    // To an encoder, a disk that is full is just another reason to fail.
    if let Some(error) = sink.error {
        return Err(WriteError::Disk(error));
    }
    encoded?;
    let buffer = sink.encoder.finish().map_err(io::Error::from)?;
    let file = buffer.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok((sink.nbytes, file.metadata()?.len()))
}

/// Counts what passes, and remembers why the disk failed.
struct Sink {
    encoder: FrameEncoder<BufWriter<File>>,
    error: Option<io::Error>,
    nbytes: usize,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.encoder.write(bytes) {
            Ok(written) => {
                self.nbytes += written;
                Ok(written)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.error.get_or_insert(error);
                Err(kind.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Seek;
    use std::sync::mpsc::{Receiver, channel};

    use dask_task::live;

    use super::super::Directory;
    use super::*;

    struct Place {
        directory: Directory,
        remover: Sender<Work>,
        removed: Receiver<Work>,
        parent: PathBuf,
    }

    impl Place {
        fn new(name: &str) -> Self {
            let name = format!("dask-spill-{name}-{}", std::process::id());
            let parent = std::env::temp_dir().join(name);
            let directory = Directory::create(&parent).expect("a directory");
            let (remover, removed) = channel();
            Self { directory, remover, removed, parent }
        }

        fn write(&self, value: &Payload) -> Result<SpillFile, WriteError> {
            SpillFile::write(self.directory.next_file(), value, self.remover.clone())
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.parent);
        }
    }

    fn noise(length: usize) -> Vec<u64> {
        let mix = |i: usize| (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
        (0..length).map(|i| mix(i) ^ mix(i) >> 31).collect()
    }

    #[test]
    fn a_value_comes_back_as_it_was_whatever_it_is() {
        let place = Place::new("back");
        let values = [
            live(noise(100_000)),
            live(vec![7_u64; 100_000]),
            live("text".to_owned()),
            live(Vec::<u8>::new()),
            live(vec![Some("a".to_owned()), None]),
            Payload::Bytes(Bytes::from_static(b"bytes")),
            live(noise(100_000)).encoded().expect("it encodes"),
            Payload::default(),
        ];
        for value in values {
            let file = place.write(&value).expect("there is room");
            let read = file.read().expect("it is there");
            assert_eq!(read, Payload::Bytes(value.to_bytes().expect("it encodes")));
        }
    }

    #[test]
    fn a_value_that_can_be_compressed_is_and_noise_grows_by_little() {
        let place = Place::new("size");
        let bytes = |value: &Payload| value.nbytes();
        let (even, noise) = (live(vec![7_u64; 100_000]), live(noise(100_000)));
        let file = place.write(&even).expect("there is room");
        assert!(file.on_disk < bytes(&even) / 50, "{}", file.on_disk);
        let file = place.write(&noise).expect("there is room");
        assert!(file.on_disk < bytes(&noise) + 100, "{}", file.on_disk);
    }

    #[test]
    fn a_file_that_was_cut_grew_or_vanished_is_an_error() {
        let place = Place::new("cut");
        let file = place.write(&live(noise(50_000))).expect("there is room");
        let whole = std::fs::read(&file.path).expect("it is there");
        for length in [0, 1, 7, 100, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&file.path, &whole[..length]).expect("it can be written");
            assert!(matches!(file.read(), Err(ReadError::Length { .. })), "{length}");
        }
        std::fs::write(&file.path, [&whole[..], b"x"].concat()).expect("it can be written");
        assert!(matches!(file.read(), Err(ReadError::Length { .. })));
        std::fs::write(&file.path, &whole).expect("it can be written");
        assert!(file.read().is_ok());
        std::fs::remove_file(&file.path).expect("it is there");
        assert!(matches!(file.read(), Err(ReadError::Disk(_))));
    }

    #[test]
    fn no_flipped_bit_gives_another_value() {
        let place = Place::new("flip");
        for value in [live(noise(200)), live(vec![7_u64; 3000])] {
            let file = place.write(&value).expect("there is room");
            let whole = std::fs::read(&file.path).expect("it is there");
            let encoded = value.to_bytes().expect("it encodes");
            let mut on_disk = File::options().write(true).open(&file.path).expect("it is there");
            let mut put = |at: usize, byte: u8| {
                on_disk.seek(io::SeekFrom::Start(at as u64)).expect("it is that long");
                on_disk.write_all(&[byte]).expect("it can be written");
            };
            for (at, byte) in whole.into_iter().enumerate() {
                put(at, byte ^ 1 << (at % 8));
                let read = std::panic::catch_unwind(|| file.read());
                if let Ok(Ok(Payload::Bytes(read))) = read {
                    assert_eq!(read, encoded, "byte {at}");
                }
                put(at, byte);
            }
        }
    }

    #[test]
    fn a_value_that_cannot_be_written_leaves_no_file() {
        #[derive(Clone, serde::Deserialize)]
        struct Half;
        impl serde::Serialize for Half {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                use serde::ser::{Error, SerializeSeq};
                let mut list = to.serialize_seq(Some(1 << 20))?;
                (0..1 << 18).try_for_each(|i: u64| list.serialize_element(&i))?;
                Err(S::Error::custom("never"))
            }
        }
        let place = Place::new("never");
        assert!(matches!(place.write(&live(Half)), Err(WriteError::Value(_))));
        let path = place.directory.next_file();
        let left = std::fs::read_dir(path.parent().expect("a directory")).expect("it is there");
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn a_full_disk_is_the_disks_fault_and_a_live_value_says_so_too() {
        let place = Place::new("full");
        // A device that is always full.
        let full = Path::new("/dev/full");
        if full.exists() {
            for value in [live(noise(100_000)), Payload::Bytes(vec![1; 1 << 20].into())] {
                let device = File::options().write(true).open(full).expect("it opens");
                assert!(matches!(write_to(device, &value), Err(WriteError::Disk(_))));
            }
        }
        std::fs::remove_dir_all(&place.parent).expect("it can be removed");
        assert!(matches!(place.write(&live(noise(10))), Err(WriteError::Disk(_))));
    }

    #[test]
    fn the_file_is_removed_with_its_last_reference() {
        let place = Place::new("last");
        let file = std::sync::Arc::new(place.write(&live(1_u8)).expect("there is room"));
        let path = file.path.clone();
        let other = std::sync::Arc::clone(&file);
        drop(file);
        assert!(place.removed.try_recv().is_err());
        drop(other);
        let removed = place.removed.try_recv().expect("it is to be removed");
        assert!(matches!(removed, Work::Remove(removed) if removed == path));
    }
}
