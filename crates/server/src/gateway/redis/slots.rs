//! Laravel's `ConcurrencyLimiter`: a number of keys, each a slot that one may
//! have, and the scripts that take a free one and that count those taken.
//!
//! An interpreter looks at all keys together. Here each slot has one answer, one
//! after the other: nobody gets a slot that somebody has. What is freed while a
//! later one is looked at is found the next time.

use proto::gateway::number::parse_i64;
use proto::gateway::redis::{self, Fail, NO_INTEGER, Need, scripts};
use proto::gateway::resp::Request;
use proto::time::Wall;
use proto::web::draft::Until;

use super::connection::Output;
use super::session::{Deed, Session};
use crate::gateway::keys::Name;

/// What a script does with the slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slots {
    /// Writes the third argument into the first that is free, to end in so many
    /// seconds (second argument), and names it by the first argument.
    Take,
    /// Counts those that are taken.
    Count,
}

/// The scripts, by the SHA-1 of their words.
const KNOWN: [(&str, Slots); 2] = [
    ("d5f8235b81f33c132a6d4bb3a3385440ae86f9f4", Slots::Take),
    ("049cb949e407623048cd13abd40fcc87a7291ce0", Slots::Count),
];

/// The script of this text.
pub(super) fn by_text(text: &[u8]) -> Option<Slots> {
    scripts::by_name(&scripts::sha1(&scripts::words(text)?), &KNOWN)
}

impl Session<'_> {
    /// Does a script, whose keys begin at the request's fourth word.
    pub(super) async fn slots(
        &self,
        slots: Slots,
        keys: usize,
        request: &Request<'_>,
        output: &mut Output,
    ) -> Result<(), Fail> {
        let mut names = Vec::with_capacity(keys);
        for key in request.arguments().skip(3).take(keys) {
            names.push(self.name(key)?);
        }
        self.shared.store.look_up(names.iter()).await;
        let mut taken = 0;
        for (index, name) in names.iter().enumerate() {
            let (mut is_free, mut unused) = (false, Output::default());
            let deed = Deed { need: Need::Read, command: "get", request: *request };
            self.work(name, deed, &mut unused, |draft, _| {
                is_free = draft.text().is_none();
                Ok(())
            })
            .await?;
            taken += i64::from(!is_free);
            if slots == Slots::Take
                && is_free
                && self.take_slot(name, keys, request, output).await?
            {
                let number = (index + 1).to_string();
                let slot = [redis::argument(request, 3 + keys)?, number.as_bytes()].concat();
                self.reply(output).bulk(&slot);
                output.close_last();
                return Ok(());
            }
        }
        match slots {
            Slots::Take => self.reply(output).null(),
            Slots::Count => self.reply(output).integer(taken),
        }
        Ok(())
    }

    /// Takes a slot that was free; gives whether it still was.
    async fn take_slot(
        &self,
        name: &Name<'_>,
        keys: usize,
        request: &Request<'_>,
        output: &mut Output,
    ) -> Result<bool, Fail> {
        let argument = |index| redis::argument(request, 3 + keys + index);
        let (seconds, id) = (parse_i64(argument(1)?).ok_or(NO_INTEGER)?, argument(2)?);
        if seconds <= 0 {
            return Err(Fail::Said("ERR invalid expire time in 'set' command"));
        }
        let deed = Deed { need: Need::OneAnswer, command: "setex", request: *request };
        let mut is_ours = false;
        self.work(name, deed, output, |draft, _| {
            is_ours = draft.text().is_none();
            if is_ours {
                let millis = seconds.saturating_mul(1_000);
                let end = draft.now().as_millis().saturating_add_signed(millis);
                draft.set_text(id.to_vec(), Until::At(Wall::from_millis(end)));
            }
            Ok(())
        })
        .await?;
        Ok(is_ours)
    }
}
