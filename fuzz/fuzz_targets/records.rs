//! A connection that is carried: the length of a snapshot in two bytes, the
//! snapshot, and an event that may follow on it. What decodes has to work.
#![no_main]

use tls_rustls::records::{Epoch, Event, MAX_OPEN_BYTES, MAX_SNAPSHOT_BYTES, Records, Snapshot};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&[high, low], bytes)) = bytes.split_first_chunk() else { return };
    let len = usize::from(u16::from_be_bytes([high, low]));
    let Some((snapshot, rest)) = bytes.split_at_checked(len) else { return };
    let event = Event::decode(rest);
    if let Ok(event) = event {
        let mut again = Vec::new();
        event.encode(&mut again);
        assert_eq!(again, rest, "there is one way to write an event");
    }
    let Ok(mut decoded) = Snapshot::decode(snapshot) else { return };
    assert_eq!(*decoded.encode(), snapshot, "there is one way to write a snapshot");
    assert!(len <= MAX_SNAPSHOT_BYTES);
    if let Ok(event) = event {
        let before = decoded.encode();
        if decoded.apply(&event).is_err() {
            assert_eq!(decoded.encode(), before, "what does not follow changes nothing");
        }
    }
    let Ok(mut records) = Records::restore(decoded, Epoch(u64::MAX)) else { return };
    let (mut plain, mut sealed) = (Vec::new(), Vec::new());
    let _ = records.open(rest, &mut plain);
    assert!(plain.len() <= MAX_OPEN_BYTES);
    let _ = records.seal(&[b"some", b" words"], &mut sealed);
    records.close();
    records.flush(&mut sealed);
    assert!(!records.wants_flush());
});
