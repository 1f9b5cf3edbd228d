//! Streams to and from other nodes: an owner calls its understudy, one stream
//! for each group and term.
//!
//! A stream that ends says that the node at its other end is gone, or as good as
//! gone: an owner goes on without it, if the farm agrees, and an understudy in
//! its place.

use mio::{Interest, Token};
use proto::connection::GroupId;
use proto::connection::owner::Owner;
use proto::connection::stream::{Message, Reply};
use proto::connection::understudy::Understudy;
use proto::time::{Instant, Wall};
use proto::wire::header::Incarnation;

use super::follow::Study;
use super::{Driver, Parts, Watched};
use crate::stream::{Accepted, Call, Ended, Frame, Stream};

/// How many frames of one stream are taken in a turn.
const MOST_FRAMES: usize = 256;

/// How many calls are answered in a turn: whoever calls without end has the
/// others wait no longer than that.
const MOST_CALLS: usize = 64;

/// A group that this node owns.
pub(super) struct Owned {
    pub(super) owner: Owner,
    /// The stream to its understudy, once that is proven.
    pub(super) line: Option<Token>,
    /// The stream that is being made or is there, and for which epoch.
    calling: Option<(Token, u64)>,
    /// When the next understudy may be chosen: one that cannot be reached is not
    /// tried without end.
    pub(super) rests_until: Instant,
}

impl Owned {
    pub(super) const fn new(owner: Owner) -> Self {
        Self { owner, line: None, calling: None, rests_until: Instant::from_micros(0) }
    }
}

/// A stream, and what it is for.
pub(super) struct Line {
    pub(super) stream: Stream,
    role: Role,
    /// When something was last heard on it.
    pub(super) heard: Instant,
    /// By how many milliseconds its clock is ahead of ours, at the least.
    pub(super) ahead: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// To the understudy of a group in an epoch.
    Owner(GroupId, u64),
    /// From an owner that has not said yet of what.
    Caller,
    /// From the owner of a group in an epoch.
    Study(GroupId, u64),
}

/// What to do with a frame.
enum Taken {
    Pulse(Wall),
    Message(Box<Message>),
    Reply(Reply),
    Senseless,
}

impl Driver {
    /// Takes what others begin.
    pub(super) fn answer_calls(&mut self) {
        let now = self.now();
        for _ in 0..MOST_CALLS {
            let Parts { calls, tls, identity, .. } = &mut self.parts;
            match calls.accept(tls, identity, now) {
                Ok(Accepted::Call(stream)) => {
                    self.add_line(*stream, Role::Caller);
                }
                Ok(Accepted::TurnedAway(from)) => {
                    tracing::debug!(%from, "a caller was turned away: too many prove nothing");
                }
                Ok(Accepted::Nobody) => return,
                Err(error) => {
                    tracing::warn!(%error, "other nodes cannot be answered");
                    return;
                }
            }
        }
        // Epoll tells of new ones only.
        self.left.calls = true;
    }

    fn add_line(&mut self, mut stream: Stream, role: Role) -> Option<Token> {
        let token = self.token(Watched::Stream);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.parts.poll.registry().register(&mut stream, token, interest) {
            tracing::warn!(%error, "a stream cannot be watched");
            self.watched.remove(&token);
            return None;
        }
        self.lines.insert(token, Line { stream, role, heard: self.now, ahead: None });
        Some(token)
    }

    /// Begins the streams that owners want, and ends those that they do not.
    pub(super) fn tend_streams(&mut self) {
        let groups: Vec<GroupId> = self.owners.keys().copied().collect();
        for group in groups {
            let Some(owned) = self.owners.get_mut(&group) else { continue };
            let wanted = owned.owner.term().and_then(|term| Some((term.understudy?, term.epoch)));
            if let Some((token, epoch)) = owned.calling
                && wanted.is_none_or(|(_, wanted)| wanted != epoch)
            {
                owned.calling = None;
                owned.line = None;
                owned.owner.handle_stream_down(self.now);
                self.remove_line(token);
            }
            if let Some((understudy, epoch)) = wanted {
                self.call(group, understudy, epoch);
            }
        }
    }

    fn call(&mut self, group: GroupId, understudy: Incarnation, epoch: u64) {
        if self.owners.get(&group).is_none_or(|owned| owned.calling.is_some()) {
            return;
        }
        let address = self.neighbour(understudy).map(|neighbour| neighbour.address);
        let stream = address.and_then(|address| {
            let call = Call { from: self.parts.config.own, to: address };
            let identity = self.parts.identity.clone();
            let called = Stream::call(&call, &self.parts.tls, identity, self.now());
            let mut called =
                called.inspect_err(|error| tracing::debug!(%address, %error, "no stream")).ok()?;
            called.gone_after(self.parts.config.silence);
            Some(called)
        });
        let token = stream.and_then(|stream| self.add_line(stream, Role::Owner(group, epoch)));
        let Some(owned) = self.owners.get_mut(&group) else { return };
        match token {
            Some(token) => owned.calling = Some((token, epoch)),
            None => {
                owned.rests_until = self.now + super::terms::REST;
                self.avoided.insert(understudy, self.now + super::terms::AVOIDED);
                owned.owner.leave_understudy(self.now);
            }
        }
    }

    /// A stream can be read or written.
    pub(super) fn serve_line(&mut self, token: Token) {
        let now = self.now();
        let Some(line) = self.lines.get_mut(&token) else { return };
        let was_proven = line.stream.peer().is_some();
        if let Err(ended) = line.stream.ready(now) {
            return self.line_ended(token, &ended);
        }
        if !was_proven && line.stream.peer().is_some() {
            line.heard = self.now;
            if let Role::Owner(group, _) = line.role
                && let Some(owned) = self.owners.get_mut(&group)
            {
                owned.line = Some(token);
                owned.owner.handle_stream_up(self.now);
            }
        }
        for _ in 0..MOST_FRAMES {
            let Some(line) = self.lines.get_mut(&token) else { return };
            let taken = match line.stream.poll_frame(now) {
                Ok(Some(Frame::Pulse { clock })) => Taken::Pulse(clock),
                Ok(Some(Frame::Message(bytes))) => taken(line.role, bytes),
                Ok(None) => return,
                Err(ended) => return self.line_ended(token, &ended),
            };
            line.heard = self.now;
            if !self.take_frame(token, taken) {
                return;
            }
        }
        // There may be more.
        self.left.streams.insert(token);
    }

    /// Does what a frame says. False when the stream is gone.
    fn take_frame(&mut self, token: Token, taken: Taken) -> bool {
        let wall = self.now().wall.as_millis();
        let Some(line) = self.lines.get_mut(&token) else { return false };
        match (taken, line.role) {
            (Taken::Pulse(clock), _) => {
                let ahead = i64::try_from(clock.as_millis()).unwrap_or(i64::MAX)
                    - i64::try_from(wall).unwrap_or(i64::MAX);
                line.ahead = Some(line.ahead.map_or(ahead, |known| known.max(ahead)));
                true
            }
            (Taken::Reply(reply), Role::Owner(group, _)) => {
                if let Some(owned) = self.owners.get_mut(&group) {
                    owned.owner.handle_reply(self.now, reply);
                }
                true
            }
            (Taken::Message(message), Role::Caller) => {
                let Message::Begin { group, term, first } = *message else {
                    self.line_ended(token, &Ended::Wordy);
                    return false;
                };
                line.role = Role::Study(group, term.epoch);
                let begun = Understudy::begin(self.parts.me, group, term, first);
                let known = self.owners.contains_key(&group)
                    || self.studies.contains_key(&(group, term.epoch));
                match begun {
                    Ok(machine) if !known => {
                        let study = Study::new(machine, token);
                        self.studies.insert((group, term.epoch), study);
                        self.study(token, (group, term.epoch), *message)
                    }
                    // It was over here: another term is in force, or will be.
                    Ok(_) | Err(_) => {
                        self.remove_line(token);
                        false
                    }
                }
            }
            (Taken::Message(message), Role::Study(group, epoch)) => {
                self.study(token, (group, epoch), *message)
            }
            (Taken::Senseless, _)
            | (Taken::Reply(_), Role::Caller | Role::Study(..))
            | (Taken::Message(_), Role::Owner(..)) => {
                self.line_ended(token, &Ended::Wordy);
                false
            }
        }
    }

    /// An owner has said something.
    fn study(&mut self, token: Token, key: (GroupId, u64), message: Message) -> bool {
        let Some(study) = self.studies.get_mut(&key) else { return true };
        let Err(broken) = study.machine.handle_message(self.now, message) else { return true };
        tracing::warn!(%broken, "an owner says what does not follow");
        self.remove_line(token);
        false
    }

    /// A stream has ended by itself.
    fn line_ended(&mut self, token: Token, ended: &Ended) {
        let Some(line) = self.lines.get(&token) else { return };
        let role = line.role;
        let peer = line.stream.peer().map(|peer| peer.name.clone()).unwrap_or_default();
        tracing::debug!(peer, %ended, "a stream has ended");
        if let Role::Study(group, epoch) = role
            && let Some(study) = self.studies.get_mut(&(group, epoch))
        {
            study.last = line.last_word();
            study.machine.take_over(self.now);
        }
        self.remove_line(token);
        if let Role::Owner(group, _) = role
            && let Some(owned) = self.owners.get_mut(&group)
            && owned.calling.is_some_and(|(of, _)| of == token)
        {
            owned.calling = None;
            owned.line = None;
            owned.rests_until = self.now + super::terms::REST;
            let understudy = owned.owner.term().and_then(|term| term.understudy);
            self.avoided.extend(understudy.map(|it| (it, self.now + super::terms::AVOIDED)));
            owned.owner.handle_stream_down(self.now);
            owned.owner.leave_understudy(self.now);
        }
    }

    /// Ends the stream of a group that is no more.
    pub(super) fn end_call_of(&mut self, owned: &Owned) {
        if let Some((token, _)) = owned.calling {
            self.remove_line(token);
        }
    }

    fn remove_line(&mut self, token: Token) {
        self.watched.remove(&token);
        if let Some(mut line) = self.lines.remove(&token) {
            // It is closed with its value in any case.
            let _ = self.parts.poll.registry().deregister(&mut line.stream);
        }
    }

    /// Sends what owners and understudies have to say.
    pub(super) fn tell_lines(&mut self) {
        for owned in self.owners.values_mut() {
            let Some(line) = owned.line.and_then(|token| self.lines.get_mut(&token)) else {
                continue;
            };
            while line.stream.has_room()
                && let Some(message) = owned.owner.poll_transmit()
            {
                line.stream.push(|out| message.encode(out));
            }
        }
        for study in self.studies.values_mut() {
            let Some(line) = self.lines.get_mut(&study.line) else { continue };
            while line.stream.has_room()
                && let Some(reply) = study.machine.poll_reply()
            {
                line.stream.push(|out| reply.encode(out));
            }
        }
        for line in self.lines.values_mut() {
            // What is left goes on when the socket can be written.
            line.stream.flush();
        }
    }

    /// Pulses, and silence.
    pub(super) fn tend_lines(&mut self) {
        let now = self.now();
        let due = self.lines.iter().filter(|(_, line)| line.stream.poll_timeout() <= self.now);
        for token in due.map(|(token, _)| *token).collect::<Vec<Token>>() {
            let Some(line) = self.lines.get_mut(&token) else { continue };
            if let Err(ended) = line.stream.handle_timeout(now) {
                self.line_ended(token, &ended);
            }
        }
    }
}

impl Line {
    /// What is known of who is at its other end, if that is gone.
    pub(super) fn last_word(&self) -> super::restore::Before {
        let ahead = self.ahead.unwrap_or(0).rem_euclid(1 << 32);
        let ahead = u32::try_from(ahead).expect("it is below 2^32");
        super::restore::Before { heard: self.heard, ahead }
    }
}

/// What a frame says to who has that role.
fn taken(role: Role, bytes: &[u8]) -> Taken {
    match role {
        Role::Owner(..) => Reply::decode(bytes).map_or(Taken::Senseless, Taken::Reply),
        Role::Caller | Role::Study(..) => Message::decode(bytes)
            .map_or(Taken::Senseless, |message| Taken::Message(Box::new(message))),
    }
}
