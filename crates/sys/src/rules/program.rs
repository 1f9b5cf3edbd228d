//! The packet filter that tells a segment with data, SYN or FIN from a pure
//! acknowledgement, for the match `bpf` of iptables: none of its other matches
//! can compare the length of a packet with that of its headers.

use std::fmt::Write as _;

/// An instruction of the classic packet filter: its code, where a jump goes if
/// true and if false, and its operand.
type Instruction = (u8, u8, u8, u32);

// The codes that are used (`linux/filter.h`, `linux/bpf_common.h`).
const LOAD_BYTE: u8 = 0x30;
const LOAD_BYTE_FROM_X: u8 = 0x50;
const LOAD_LENGTH: u8 = 0x80;
const LOAD_MEMORY: u8 = 0x60;
const STORE: u8 = 0x02;
const TO_X: u8 = 0x07;
const AND: u8 = 0x54;
const SHIFT_LEFT: u8 = 0x64;
const SHIFT_RIGHT: u8 = 0x74;
const SUBTRACT: u8 = 0x14;
const SUBTRACT_X: u8 = 0x1C;
const IF_EQUAL: u8 = 0x15;
const IF_ANY_BIT: u8 = 0x45;
const IF_ABOVE_X: u8 = 0x2D;
const RETURN: u8 = 0x06;

/// FIN and SYN among a TCP header's flags.
const FIN_OR_SYN: u32 = 0x03;

/// TCP's number.
const TCP: u32 = 6;

/// For IPv4: the length of the IP header goes into X.
pub(super) const V4: &[Instruction] = &[
    (LOAD_BYTE, 0, 0, 0),
    (AND, 0, 0, 0x0F),
    (SHIFT_LEFT, 0, 0, 2),
    (TO_X, 0, 0, 0),
    // What is left of the packet behind it is kept.
    (LOAD_LENGTH, 0, 0, 0),
    (SUBTRACT_X, 0, 0, 0),
    (STORE, 0, 0, 0),
    (LOAD_BYTE_FROM_X, 0, 0, 13),
    (IF_ANY_BIT, 6, 0, FIN_OR_SYN),
    // The length of the TCP header, in words in the upper half of a byte.
    (LOAD_BYTE_FROM_X, 0, 0, 12),
    (AND, 0, 0, 0xF0),
    (SHIFT_RIGHT, 0, 0, 2),
    (TO_X, 0, 0, 0),
    (LOAD_MEMORY, 0, 0, 0),
    (IF_ABOVE_X, 0, 1, 0),
    (RETURN, 0, 0, 1),
    (RETURN, 0, 0, 0),
];

/// For IPv6. Behind extension headers nothing is looked for: such a segment is
/// held, whatever it has.
pub(super) const V6: &[Instruction] = &[
    (LOAD_BYTE, 0, 0, 6),
    (IF_EQUAL, 0, 11, TCP),
    (LOAD_LENGTH, 0, 0, 0),
    (SUBTRACT, 0, 0, 40),
    (STORE, 0, 0, 0),
    (LOAD_BYTE, 0, 0, 53),
    (IF_ANY_BIT, 6, 0, FIN_OR_SYN),
    (LOAD_BYTE, 0, 0, 52),
    (AND, 0, 0, 0xF0),
    (SHIFT_RIGHT, 0, 0, 2),
    (TO_X, 0, 0, 0),
    (LOAD_MEMORY, 0, 0, 0),
    (IF_ABOVE_X, 0, 1, 0),
    (RETURN, 0, 0, 1),
    (RETURN, 0, 0, 0),
];

/// A program as iptables takes it: its length, and the instructions.
pub(super) fn text(program: &[Instruction]) -> String {
    let mut text = program.len().to_string();
    for (code, if_true, if_false, operand) in program {
        write!(text, ",{code} {if_true} {if_false} {operand}").expect("a string takes all");
    }
    text
}
