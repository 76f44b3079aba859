use super::*;

fn decoded(limits: Limits, mut bytes: &[u8]) -> Result<Option<Frames>, WireError> {
    Decoder::new(limits).decode(&mut bytes)
}

fn prefix(lengths: &[u64]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.put_u32_le(u32::try_from(lengths.len()).unwrap());
    lengths.iter().for_each(|&length| bytes.put_u64_le(length));
    bytes
}

#[test]
fn batches_survive_any_cut() {
    let batches = [
        Frames::default(),
        Frames::new(vec![Bytes::new(), Bytes::from_static(b"x"), Bytes::new()]),
        Frames::new(vec![vec![1; 100_000].into(), vec![2; 10].into(), vec![3; 5000].into()]),
    ];
    let mut stream = Vec::new();
    for batch in &batches {
        stream.put(encode(batch).unwrap());
    }
    for step in [1, 3, 7, 4096, 70_000, stream.len()] {
        let mut decoder = Decoder::new(Limits::MESSAGES);
        let mut received = Vec::new();
        for mut piece in stream.chunks(step) {
            while let Some(batch) = decoder.decode(&mut piece).unwrap() {
                received.push(batch.bytes);
            }
            assert!(piece.is_empty());
        }
        decoder.finish().unwrap();
        assert!(received.iter().eq(batches.iter().map(|b| &b.bytes)));
    }
}

#[test]
fn large_frames_are_neither_copied_on_the_way_out_nor_on_the_way_in() {
    let large = Bytes::from(vec![7; 1 << 20]);
    let chunks = encode(&Frames::new(vec![large.clone()])).unwrap();
    assert!(chunks.chunks.iter().any(|c| c.as_ptr() == large.as_ptr()));
    let mut decoder = Decoder::new(Limits::MESSAGES);
    assert!(decoder.decode(&mut prefix(&[1 << 20]).as_slice()).unwrap().is_none());
    decoder.space().unwrap().put_slice(&large);
    let frames = decoder.decode(&mut [].as_slice()).unwrap().unwrap();
    assert_eq!(frames.bytes, [large]);
}

#[test]
fn limits_are_checked_before_the_bytes_arrive() {
    let limits = Limits { frames: 2, frame_bytes: 10, batch_bytes: 15 };
    let refused = |lengths: &[u64]| decoded(limits, &prefix(lengths)).unwrap_err();
    let (frames, limit) = (3, 2);
    assert_eq!(refused(&[0, 0, 0]), WireError::Frames { frames, limit });
    let (bytes, limit) = (11, 10);
    assert_eq!(refused(&[11]), WireError::Frame { bytes, limit });
    let (bytes, limit) = (16, 15);
    assert_eq!(refused(&[8, 8]), WireError::Batch { bytes, limit });
    let huge = Limits { frame_bytes: u64::MAX, ..Limits::MESSAGES };
    assert!(decoded(huge, &prefix(&[u64::MAX, 2])).unwrap().is_none());
}

#[test]
fn an_announcement_does_not_reserve_what_it_announces() {
    let mut decoder = Decoder::new(Limits::MESSAGES);
    let mut bytes = prefix(&[60 << 30]);
    bytes.put_slice(b"ten bytes!");
    assert!(decoder.decode(&mut bytes.as_slice()).unwrap().is_none());
    assert!(decoder.space().is_some());
    assert!(decoder.batch.unwrap().current.capacity() <= RESERVE_BYTES);
}

#[test]
fn a_foreign_protocol_is_recognised_by_its_first_wrong_byte() {
    let http = decoded(Limits::HANDSHAKE, b"HTTP/1.1 400 Bad Request\r\n").unwrap_err();
    assert!(http.to_string().contains("HTTP/1.1 400 Bad Request"));
    let start = "dX".to_owned();
    assert_eq!(decoded(Limits::HANDSHAKE, b"dX").unwrap_err(), WireError::Foreign { start });
    assert!(decoded(Limits::HANDSHAKE, b"das").unwrap().is_none());
}

#[test]
fn a_stream_that_ends_inside_a_batch_is_truncated() {
    let bytes = encode(&Frames::new(vec![vec![1; 20].into()])).unwrap().copy_to_bytes(36);
    for end in 0..=bytes.len() {
        let mut decoder = Decoder::new(Limits::MESSAGES);
        let _ = decoder.decode(&mut &bytes[..end]).unwrap();
        let whole = end == 0 || end == bytes.len();
        assert_eq!(decoder.finish().is_ok(), whole, "{end}");
    }
}
