//! What is not done, and why: a status and a page that says what to do.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use segue::state::{Error, PaymentError, StateError};

/// Something that was asked for and is not done. As a response it is empty, and
/// the frame that every page has makes a page of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) title: &'static str,
    pub(crate) text: Cow<'static, str>,
    /// Where to go on: a path, and what it is called.
    pub(crate) on: (&'static str, &'static str),
    pub(crate) retry_after: Option<Duration>,
}

impl Refusal {
    pub(crate) fn new(
        status: StatusCode,
        title: &'static str,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        let on = ("/", "Back to the shop");
        Self { status, title, text: text.into(), on, retry_after: None }
    }

    /// The same, with another way on.
    pub(crate) fn on(self, path: &'static str, called: &'static str) -> Self {
        Self { on: (path, called), ..self }
    }

    /// A form that cannot be meant so.
    pub(crate) fn unusable(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "That cannot be done", text)
    }

    /// The farm did not answer, and asking again does no harm.
    pub(crate) fn unanswered(text: &'static str) -> Self {
        let retry_after = Some(Duration::from_secs(2));
        let title = "The farm has not answered";
        Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, title, text) }
    }
}

/// An error as a sentence.
pub(crate) fn sentence(error: &StateError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase());
    first.into_iter().flatten().chain(letters).chain(['.']).collect()
}

impl From<StateError> for Refusal {
    fn from(error: StateError) -> Self {
        Self::unusable(sentence(&error))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::State(error) => error.into(),
            Error::NotFound => Self::new(
                StatusCode::CONFLICT,
                "That is over",
                "What you changed has ended meanwhile, here or in another window.",
            ),
            Error::Write(_) | Error::Unreadable | Error::Random | _ => {
                tracing::warn!(%error, "the shop could not write");
                Self::unanswered(
                    "Not every server has confirmed what you did. It may have been done: look \
                     before you do it again.",
                )
                .on("/cart", "Look into the cart")
            }
        }
    }
}

impl From<PaymentError> for Refusal {
    fn from(error: PaymentError) -> Self {
        match error {
            PaymentError::Conflict => Self::new(
                StatusCode::CONFLICT,
                "This order is another one",
                "An order of this number was sent before, with another amount or other articles. \
                 It stays as it was, and nothing was charged for this one. Look at your orders, \
                 or go to the checkout for a new one.",
            )
            .on("/orders", "Your orders"),
            PaymentError::State(error) => error.into(),
            PaymentError::OneAnswer(_) | PaymentError::NotFound | PaymentError::Unreadable | _ => {
                tracing::warn!(%error, "the shop could not pay");
                Self::unanswered(
                    "Whether the payment was made is not certain yet. Send the order again from \
                     the checkout: it is paid once, however often it is sent.",
                )
                .on("/checkout", "To the checkout")
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}
