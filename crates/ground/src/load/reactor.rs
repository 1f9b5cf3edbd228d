//! One thread that drives many ends, so that ten thousand of them cost no
//! thread each.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::{Arc, mpsc};
use std::thread;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::Security;
use super::backend::Register;
use super::channel::Channel;
use super::end::End;

/// How many events are taken at a time.
const EVENTS: usize = 256;

/// What an epoll event says that is not an end's: the waker's and the
/// listener's. Ends have the numbers of their files, which are small.
const WAKER: u64 = u64::MAX;
const LISTENER: u64 = u64::MAX - 1;

/// What a reactor is told.
#[derive(Debug)]
pub(super) enum Order {
    /// To drive an end.
    Drive(Box<End>),
    /// To look at an end again: it was told something.
    Look(u64),
    /// To end, with all ends.
    Stop,
}

/// Speaks to a reactor.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    orders: mpsc::Sender<Order>,
    waker: Arc<EventFd>,
}

impl Wire {
    pub(super) fn tell(&self, order: Order) {
        // Who has stopped drives nothing any more.
        let _ = self.orders.send(order);
        let _ = self.waker.write(1);
    }
}

/// A running reactor. Dropped, it ends, and its connections break.
#[derive(Debug)]
pub(super) struct Reactor {
    wire: Wire,
    thread: Option<thread::JoinHandle<()>>,
}

impl Reactor {
    /// Starts one; with a listener, whose connections are the backend's ends.
    pub(super) fn start(listener: Option<(TcpListener, Register)>) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let waker = Arc::new(EventFd::from_value_and_flags(0, flags)?);
        epoll.add(&*waker, EpollEvent::new(EpollFlags::EPOLLIN, WAKER))?;
        if let Some((listener, _)) = &listener {
            listener.set_nonblocking(true)?;
            epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
        }
        let (orders, given) = mpsc::channel();
        let wire = Wire { orders, waker: Arc::clone(&waker) };
        let mut work = Work { epoll, waker, given, listener, ends: BTreeMap::new() };
        let thread = thread::Builder::new().name("load".to_owned()).spawn(move || work.run())?;
        Ok(Self { wire, thread: Some(thread) })
    }

    pub(super) fn wire(&self) -> &Wire {
        &self.wire
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        self.wire.tell(Order::Stop);
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// What the thread has.
#[derive(Debug)]
struct Work {
    epoll: Epoll,
    waker: Arc<EventFd>,
    given: mpsc::Receiver<Order>,
    listener: Option<(TcpListener, Register)>,
    ends: BTreeMap<u64, Driven>,
}

#[derive(Debug)]
struct Driven {
    end: End,
    wants: EpollFlags,
}

impl Work {
    fn run(&mut self) {
        let mut events = [EpollEvent::empty(); EVENTS];
        loop {
            let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => continue,
                Err(error) => panic!("epoll_wait: {error}"),
            };
            for event in &events[..count] {
                match event.data() {
                    WAKER => {
                        let _ = self.waker.read();
                        if !self.obey() {
                            return;
                        }
                    }
                    LISTENER => self.accept(),
                    token => self.attend(token),
                }
            }
        }
    }

    /// Does what it was told. Whether it goes on.
    fn obey(&mut self) -> bool {
        while let Ok(order) = self.given.try_recv() {
            match order {
                Order::Drive(end) => self.drive(*end),
                Order::Look(token) => self.attend(token),
                Order::Stop => return false,
            }
        }
        true
    }

    fn accept(&mut self) {
        while let Some((listener, _)) = &self.listener {
            // What is wrong with one is over with it, and is its client's to
            // notice.
            let Ok((socket, _)) = listener.accept() else { return };
            if let Ok(channel) = Channel::new(socket, &Security::Plain) {
                self.drive(End::backend(channel));
            }
        }
    }

    fn drive(&mut self, end: End) {
        let token = token_of(end.channel());
        let wants = end.wants();
        if self.epoll.add(end.channel(), EpollEvent::new(wants, token)).is_ok() {
            self.ends.insert(token, Driven { end, wants });
            self.attend(token);
        }
    }

    fn attend(&mut self, token: u64) {
        let Some(driven) = self.ends.get_mut(&token) else { return };
        if let Some(header) = driven.end.step()
            && let Some((_, register)) = &self.listener
        {
            register.enter(header.id, &driven.end.seat, token);
        }
        if driven.end.is_over() {
            // Closing takes it out of the epoll set.
            self.ends.remove(&token);
            return;
        }
        let wants = driven.end.wants();
        if wants != driven.wants {
            driven.wants = wants;
            let mut event = EpollEvent::new(wants, token);
            self.epoll.modify(driven.end.channel(), &mut event).expect("it is in the set");
        }
    }
}

/// A number for an end that no other has while it lives.
pub(super) fn token_of(channel: &Channel) -> u64 {
    u64::try_from(channel.as_fd().as_raw_fd()).expect("files have numbers from 0")
}
