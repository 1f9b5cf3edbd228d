//! The log-in page, and the account's.

use maud::{Markup, html};

use super::{Frame, form, page};
use crate::accounts::ACCOUNTS;

/// The page, with what went wrong with the last try, if something did.
pub(crate) fn login(frame: &Frame<'_>, next: &str, name: &str, wrong: Option<&str>) -> Markup {
    let fields = html! {
        input type="hidden" name="next" value=(next);
        label for="name" { "Name" }
        input #name type="text" name="name" value=(name) autocomplete="username"
            autocapitalize="none" spellcheck="false" maxlength="64" required;
        label for="password" { "Password" }
        input #password type="password" name="password" autocomplete="current-password"
            maxlength="256" required;
        button type="submit" { "Log in" }
    };
    let content = html! {
        @if let Some(wrong) = wrong {
            p.notice role="alert" { (wrong) }
        }
        (form(frame, "/login", "stack", &fields))
        section aria-labelledby="accounts" {
            h2 #accounts { "Accounts of this demonstration" }
            p { "Everybody knows them, so order nothing that your neighbour should not see." }
            table {
                thead { tr { th scope="col" { "Name" } th scope="col" { "Password" } } }
                tbody {
                    @for account in &ACCOUNTS {
                        tr { td { (account.name) } td { code { (account.password) } } }
                    }
                }
            }
        }
    };
    page(frame, "Log in", &content)
}

/// The page of who has logged in.
pub(crate) fn account(frame: &Frame<'_>, user: &str, sessions: usize) -> Markup {
    let content = html! {
        p {
            "You are logged in as " strong { (user) } ", with "
            strong #sessions { (sessions) } @if sessions == 1 { " session" } @else { " sessions" }
            " in all browsers together. They share a cart, which ends with the last of them."
        }
        (form(frame, "/logout", "row", &html! { button type="submit" { "Log out" } }))
        h2 { "Everywhere" }
        p { "Ends every session of this account, at every server at once." }
        (form(frame, "/logout-everywhere", "row", &html! {
            button.quiet type="submit" { "End my sessions everywhere" }
        }))
    };
    page(frame, "Your account", &content)
}
