//! What goes wrong with nodes and the link between them, and what breaks the
//! rules on purpose.

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A process dies: what it had said already arrives, and the other node
    /// hears at once that its stream has ended.
    Process(usize),
    /// A host dies: what was on its way is gone, and only silence tells.
    Host(usize),
    /// A node stands still for so many milliseconds. Its kernel does not.
    Pause(usize, u64),
    /// The nodes do not hear each other for so many milliseconds.
    Cut(u64),
    /// A node moves its connections to its understudy.
    Drain(usize),
}

impl Fault {
    /// Each of them once, as it befalls an owner and its understudy. The pauses
    /// and cuts are one that is too short to be noticed, one that is about as
    /// long as the others wait, and one after which all is decided.
    pub const ALL: [Self; 12] = [
        Self::Process(0),
        Self::Host(0),
        Self::Process(1),
        Self::Host(1),
        Self::Pause(0, 5),
        Self::Pause(0, 30),
        Self::Pause(0, 300),
        Self::Pause(1, 30),
        Self::Pause(1, 300),
        Self::Cut(5),
        Self::Cut(300),
        Self::Drain(0),
    ];
}

/// What is broken on purpose: a checker that never fails proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tamper {
    /// Nothing.
    Nothing,
    /// Packets go to the kernel before the understudy has their bytes.
    ReleasesBeforeHeld,
    /// Output is written before the understudy has it.
    WritesBeforeHeld,
    /// Whoever wants a term acts under it without asking.
    ActsWithoutTerm,
    /// An understudy that takes over still says that it holds what comes.
    KeepsAcknowledging,
    /// What TLS has come to is not told with the output that it made.
    ForgetsNumbers,
}
