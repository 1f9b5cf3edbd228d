//! The scripts of ASP.NET's session state provider
//! (`Microsoft.Web.RedisSessionStateProvider`), 4 and 5: a lock, a session's
//! data and its timeout, three keys that change together in an interpreter.
//!
//! Here each key is changed by itself, in the scripts' order. The lock has one
//! answer, and only who has it changes the data: what differs is seen by those
//! alone who look without the lock.

mod known;
mod run;

use proto::gateway::number::parse_i64;
use proto::gateway::redis::{self, Fail, NO_INTEGER, Need};
use proto::gateway::resp::Request;
use proto::web::{Draft, Shape};

use super::connection::Output;
use super::session::Session;
use known::{Form, Step};
pub(super) use known::{Known, by_text};
use run::{Data, Run, ends_in, set, text};

/// The field of version 4 that has the timeout.
const TIMEOUT: &[u8] = b"SessionTimeout";

impl Session<'_> {
    /// Does a script, whose keys begin at the request's fourth word.
    pub(super) async fn asp_net(
        &self,
        known: Known,
        request: &Request<'_>,
        output: &mut Output,
    ) -> Result<(), Fail> {
        let Known { form, step } = known;
        let key = |at: usize| redis::argument(request, 3 + at);
        let last = known.keys();
        let run = Run {
            form,
            request: *request,
            data: key(last - 2)?,
            timeout: key(last - 1)?,
            arguments: request.arguments().skip(3 + last).collect(),
        };
        match step {
            Step::Touch => self.asp_touch(&run, output).await?,
            Step::Set => {
                self.asp_write(&run, (3, usize::MAX), output).await?;
            }
            Step::Lock => return self.asp_lock(key(0)?, &run, output).await,
            Step::Look => return self.asp_look(key(0)?, &run, output).await,
            Step::Release => {
                self.free(key(0)?, &run, output).await?;
                if self.asp_renew(&run, output).await?.is_none() {
                    self.end(run.data, run.seconds(1)?, &run, output).await?;
                }
            }
            Step::Remove | Step::Update => {
                return self.asp_leave(step, key(0)?, &run, output).await;
            }
        }
        self.reply(output).integer(1);
        output.close_last();
        Ok(())
    }

    async fn asp_touch(&self, run: &Run<'_>, output: &mut Output) -> Result<(), Fail> {
        let mut is_there = false;
        self.look(run.data, run, |draft| is_there = draft.is_there()).await?;
        if is_there && self.asp_renew(run, output).await?.is_none() {
            self.end(run.data, run.seconds(0)?, run, output).await?;
            self.asp_timeout(run, 0, output).await?;
        }
        Ok(())
    }

    async fn asp_lock(&self, lock: &[u8], run: &Run<'_>, output: &mut Output) -> Result<(), Fail> {
        let (wanted, seconds) = (run.argument(0)?, run.seconds(1)?);
        let name = self.name(lock)?;
        let (mut held, mut taken) = (None, false);
        let deed = run.deed(Need::OneAnswer, "setex");
        self.work(&name, deed, output, |draft, _| {
            held = text(draft)?;
            taken = !draft.is_there();
            if taken {
                held = Some(wanted.to_vec());
                set(draft, wanted, seconds);
            }
            Ok(())
        })
        .await?;
        let is_ours = held.as_deref() == Some(wanted);
        self.asp_data(held.as_deref(), is_ours, run, output).await?;
        // Redis' script says whether somebody else has it, and false is nothing.
        if taken {
            self.reply(output).null();
        } else {
            self.reply(output).integer(1);
        }
        output.close_last();
        Ok(())
    }

    async fn asp_look(&self, lock: &[u8], run: &Run<'_>, output: &mut Output) -> Result<(), Fail> {
        let held = self.text_at(lock, run).await?.unwrap_or_default();
        self.asp_data(Some(&held), held.is_empty(), run, output).await?;
        output.close_last();
        Ok(())
    }

    /// The lock, the data for who may see them, and the timeout: the first
    /// three of what is answered.
    async fn asp_data(
        &self,
        lock: Option<&[u8]>,
        may_see: bool,
        run: &Run<'_>,
        output: &mut Output,
    ) -> Result<(), Fail> {
        let mut data = Data::Text(Vec::new());
        if may_see {
            let mut failed = None;
            self.look(run.data, run, |draft| match run.form.data(draft) {
                Ok(found) => data = found,
                Err(fail) => failed = Some(fail),
            })
            .await?;
            failed.map_or(Ok(()), Err)?;
        }
        let timeout = self.asp_renew(run, output).await?;
        let mut reply = self.reply(output);
        reply.array(if run.arguments.is_empty() { 3 } else { 4 });
        match lock {
            Some(lock) => reply.bulk(lock),
            None => reply.null(),
        }
        match data {
            Data::Nothing => reply.null(),
            Data::Text(text) => reply.bulk(&text),
            Data::Fields(fields) => {
                reply.array(2 * fields.len());
                for (field, value) in fields {
                    reply.bulk(&field);
                    reply.bulk(&value);
                }
            }
        }
        reply.bulk(timeout.as_deref().unwrap_or(b"-1"));
        Ok(())
    }

    /// Ends or writes a session, if the lock is the caller's.
    async fn asp_leave(
        &self,
        step: Step,
        lock: &[u8],
        run: &Run<'_>,
        output: &mut Output,
    ) -> Result<(), Fail> {
        let wanted = run.argument(0)?;
        let needs_lock = run.form == Form::Hash || !wanted.is_empty();
        let may = !needs_lock || self.text_at(lock, run).await?.as_deref() == Some(wanted);
        if may && step == Step::Remove {
            self.remove(run.data, run, output).await?;
            self.remove(run.timeout, run, output).await?;
        } else if may {
            self.asp_write(run, (run.place(6)?, run.place(7)?), output).await?;
        }
        if may && needs_lock {
            // It may have ended meanwhile, and be another's.
            self.free(lock, run, output).await?;
        } else if may {
            self.remove(lock, run, output).await?;
        }
        if may && run.form == Form::Text {
            self.reply(output).null();
        } else {
            self.reply(output).integer(1);
        }
        output.close_last();
        Ok(())
    }

    /// Writes data that stand among the arguments, and the timeout.
    async fn asp_write(
        &self,
        run: &Run<'_>,
        (first, last): (usize, usize),
        output: &mut Output,
    ) -> Result<(), Fail> {
        let seconds = run.seconds(1)?;
        // Version 5 sets by the first argument, and updates by the tenth.
        let is_set = last == usize::MAX;
        let changes = is_set || run.number(5)? != 0;
        let removed: &[&[u8]] = if is_set || run.form == Form::Text || run.number(2)? == 0 {
            &[]
        } else {
            run.slice(run.place(3)?, run.place(4)?)?
        };
        let name = self.name(run.data)?;
        let deed = run.deed(Need::Write, if run.form == Form::Text { "setex" } else { "hset" });
        self.work(&name, deed, output, |draft, _| {
            match run.form {
                Form::Text if changes => {
                    let value = run.argument(if is_set { 0 } else { 9 })?;
                    set(draft, value, seconds);
                }
                Form::Text => ends_in(draft, seconds),
                Form::Hash => {
                    run.form.data(draft)?;
                    for field in removed {
                        draft.remove_field(field);
                    }
                    if changes {
                        let last = if is_set { run.place(0)? } else { last };
                        for pair in run.slice(first, last)?.chunks_exact(2) {
                            draft.set_field(Shape::Hash, pair[0], pair[1]);
                        }
                    }
                    ends_in(draft, seconds);
                }
            }
            Ok(())
        })
        .await?;
        self.asp_timeout(run, 1, output).await
    }

    /// Writes down how long the session lasts: an argument.
    async fn asp_timeout(&self, run: &Run<'_>, at: usize, output: &mut Output) -> Result<(), Fail> {
        let (name, value, seconds) = (self.name(run.timeout)?, run.argument(at)?, run.seconds(at)?);
        let deed = run.deed(Need::Write, if run.form == Form::Text { "setex" } else { "hset" });
        self.work(&name, deed, output, |draft, _| {
            match run.form {
                Form::Text => set(draft, value, seconds),
                Form::Hash => {
                    run.form.data(draft)?;
                    draft.set_field(Shape::Hash, TIMEOUT, value);
                    ends_in(draft, seconds);
                }
            }
            Ok(())
        })
        .await
    }

    /// Has the session last anew as long as is written down, and gives that.
    async fn asp_renew(&self, run: &Run<'_>, output: &mut Output) -> Result<Option<Vec<u8>>, Fail> {
        let mut timeout = Ok(None);
        self.look(run.timeout, run, |draft| {
            timeout = match run.form {
                Form::Text => text(draft),
                Form::Hash => {
                    run.form.data(draft).map(|_| draft.field(TIMEOUT).map(<[u8]>::to_vec))
                }
            };
        })
        .await?;
        let timeout = timeout?;
        if let Some(timeout) = &timeout {
            let seconds = parse_i64(timeout).ok_or(NO_INTEGER)?;
            self.end(run.data, seconds, run, output).await?;
            self.end(run.timeout, seconds, run, output).await?;
        }
        Ok(timeout)
    }

    async fn free(&self, lock: &[u8], run: &Run<'_>, output: &mut Output) -> Result<(), Fail> {
        let (name, wanted) = (self.name(lock)?, run.argument(0)?);
        self.work(&name, run.deed(Need::OneAnswer, "del"), output, |draft, _| {
            if text(draft)?.as_deref() == Some(wanted) {
                draft.delete();
            }
            Ok(())
        })
        .await
    }

    async fn look(
        &self,
        key: &[u8],
        run: &Run<'_>,
        mut see: impl FnMut(&Draft) + Send,
    ) -> Result<(), Fail> {
        let (name, mut unused) = (self.name(key)?, Output::default());
        let deed = run.deed(Need::Read, "get");
        self.work(&name, deed, &mut unused, |draft, _| {
            see(draft);
            Ok(())
        })
        .await
    }

    async fn text_at(&self, key: &[u8], run: &Run<'_>) -> Result<Option<Vec<u8>>, Fail> {
        let mut found = Ok(None);
        self.look(key, run, |draft| found = text(draft)).await?;
        found
    }

    async fn end(
        &self,
        key: &[u8],
        seconds: i64,
        run: &Run<'_>,
        output: &mut Output,
    ) -> Result<(), Fail> {
        let name = self.name(key)?;
        self.work(&name, run.deed(Need::Write, "expire"), output, |draft, _| {
            ends_in(draft, seconds);
            Ok(())
        })
        .await
    }

    async fn remove(&self, key: &[u8], run: &Run<'_>, output: &mut Output) -> Result<(), Fail> {
        let name = self.name(key)?;
        self.work(&name, run.deed(Need::Write, "del"), output, |draft, _| {
            draft.delete();
            Ok(())
        })
        .await
    }
}
