//! The two peers of a connection: what they send is known, and what they get is
//! compared.
//!
//! A backend gets what its client sent. A client gets frames: their number, a
//! salt that the sealing node drew, and bytes of the backend under that salt. So
//! no two nodes make the same frame of the same bytes, as with sealed records.

use super::socket::{Socket, Transmit};

/// A frame's number (4 bytes), length and salt.
pub const FRAME_HEAD: usize = 6;

/// A client or a backend.
#[derive(Debug)]
pub struct Peer {
    /// Its own end of the connection.
    pub socket: Socket,
    /// Whether it is connected.
    pub connected: bool,
    /// Which of the attempts to reach a backend it talks to.
    pub attempt: u32,
    /// How many bytes of the other's content it has.
    got: u64,
    frames: u32,
    partial: Vec<u8>,
    ended: bool,
    sends: u64,
    expects: u64,
}

/// A byte of what one of a client (0) and its backend (1) says.
#[expect(clippy::cast_possible_truncation, reason = "a pattern")]
pub const fn content(of: u8, at: u64) -> u8 {
    (at.wrapping_mul(31) >> 3) as u8 ^ of.wrapping_mul(85)
}

/// What a node makes of a backend's bytes.
pub fn frame(number: u32, salt: u8, bytes: &[u8]) -> Vec<u8> {
    let mut frame = number.to_be_bytes().to_vec();
    frame.push(u8::try_from(bytes.len()).expect("a frame has less than 256 bytes"));
    frame.push(salt);
    frame.extend(bytes.iter().map(|byte| byte ^ salt));
    frame
}

impl Peer {
    /// A peer that says so much, and is to hear so much.
    pub fn new(of: u8, sends: u64, expects: u64) -> Self {
        let mut peer = Self {
            socket: Socket::default(),
            connected: false,
            attempt: 0,
            got: 0,
            frames: 0,
            partial: Vec::new(),
            ended: false,
            sends,
            expects,
        };
        peer.say(of);
        peer
    }

    fn say(&mut self, of: u8) {
        let bytes: Vec<u8> = (0..self.sends).map(|at| content(of, at)).collect();
        self.socket.write(&bytes, true);
    }

    /// Begins anew with another attempt of a node, that knows of no earlier one.
    pub fn begin(&mut self, of: u8, attempt: u32) {
        *self = Self { attempt, connected: true, ..Self::new(of, self.sends, self.expects) };
    }

    /// Whether anything has come, or was acknowledged.
    pub fn has_begun(&self) -> bool {
        self.socket.acknowledges() + self.socket.acknowledged() > 0
    }

    /// Whether it has all that it is to hear.
    pub const fn is_done(&self) -> bool {
        self.ended && self.got == self.expects
    }

    /// Takes what has come in order.
    ///
    /// # Errors
    ///
    /// When it is not what the other one said.
    pub fn read(&mut self, of: u8) -> Result<(), String> {
        let bytes = self.socket.read(usize::MAX);
        if of == 1 {
            self.take(&bytes, 0)?;
        } else {
            self.partial.extend(bytes);
            self.unframe()?;
        }
        self.ended |= self.socket.is_ended();
        if self.ended && (self.got != self.expects || !self.partial.is_empty()) {
            return Err(format!("the stream ends after {} of {}", self.got, self.expects));
        }
        Ok(())
    }

    fn unframe(&mut self) -> Result<(), String> {
        while self.partial.len() >= FRAME_HEAD {
            let number = u32::from_be_bytes([0, 1, 2, 3].map(|at| self.partial[at]));
            let (len, salt) = (usize::from(self.partial[4]), self.partial[5]);
            if number != self.frames {
                return Err(format!("frame {number} in place of {}", self.frames));
            }
            if self.partial.len() < FRAME_HEAD + len {
                return Ok(());
            }
            let frame: Vec<u8> = self.partial.drain(..FRAME_HEAD + len).collect();
            self.frames += 1;
            let bytes: Vec<u8> = frame[FRAME_HEAD..].iter().map(|byte| byte ^ salt).collect();
            self.take(&bytes, 1)?;
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], other: u8) -> Result<(), String> {
        for byte in bytes {
            if *byte != content(other, self.got) {
                return Err(format!("byte {} of the stream is wrong", self.got));
            }
            self.got += 1;
        }
        Ok(())
    }

    /// What it sends; again from the first that is not acknowledged, if asked to.
    pub fn transmit(&mut self, again: bool) -> Vec<Transmit> {
        if self.connected { self.socket.transmit(again) } else { Vec::new() }
    }
}
