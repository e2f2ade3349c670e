//! May a request go out again on a fresh connection, invisibly to its caller?

use http::request::Parts;
use urlpool_core::request::is_idempotent;

/// How much of a request's body is kept so that it could be sent once more.
pub(crate) const KEPT: usize = 64 * 1024;

/// What is known of a request that died with its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Death {
    /// Whether this request was sent again before.
    pub(crate) resent: bool,
    /// Whether the connection had served another request before, so that the server may just have closed it.
    pub(crate) reused: bool,
    /// Whether the server said that it did not begin to act on it (HTTP/2's GOAWAY and REFUSED_STREAM).
    pub(crate) refused: bool,
    /// Whether any byte of a response had come.
    pub(crate) answered: bool,
    /// Whether any byte of the request may have been written.
    pub(crate) written: bool,
    /// Whether doing it twice is as good as once.
    pub(crate) repeatable: bool,
    /// Whether the head and all of the body taken so far are still at hand.
    pub(crate) at_hand: bool,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resend {
    /// Once more, on a fresh connection.
    Again,
    /// One resend is all there is: what fails twice is not a stale connection.
    AlreadyResent,
    /// A fresh connection that dies is a failure of the server, which the guest's retries judge.
    FreshConnection,
    /// The server acted on the request.
    Answered,
    /// The server may have acted on it, and acting twice may do harm.
    NotRepeatable,
    /// The body was too large to keep.
    BodyGone,
}

impl Death {
    /// Whether to send the request again.
    pub(crate) fn judge(self) -> Resend {
        if self.resent {
            Resend::AlreadyResent
        } else if self.refused {
            if self.at_hand { Resend::Again } else { Resend::BodyGone }
        } else if !self.reused {
            Resend::FreshConnection
        } else if self.answered {
            Resend::Answered
        } else if self.written && !self.repeatable {
            Resend::NotRepeatable
        } else if !self.at_hand {
            Resend::BodyGone
        } else {
            Resend::Again
        }
    }
}

/// Whether sending `request` twice is as good as once: by its method, or because it carries a key by which the server
/// knows it again.
pub(crate) fn repeatable(request: &Parts) -> bool {
    is_idempotent(&request.method) || request.headers.contains_key("idempotency-key")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE: Death = Death {
        resent: false,
        reused: true,
        refused: false,
        answered: false,
        written: true,
        repeatable: true,
        at_hand: true,
    };

    fn parts(method: &str, key: Option<&str>) -> Parts {
        let mut request = http::Request::builder().method(method).uri("/");
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_repeatable_request_that_met_a_stale_connection_goes_out_again() {
        assert_eq!(STALE.judge(), Resend::Again);
    }

    #[test]
    fn it_goes_out_again_only_once() {
        assert_eq!(Death { resent: true, ..STALE }.judge(), Resend::AlreadyResent);
    }

    #[test]
    fn a_fresh_connection_that_dies_is_reported() {
        assert_eq!(Death { reused: false, ..STALE }.judge(), Resend::FreshConnection);
    }

    #[test]
    fn a_request_is_not_repeated_once_a_byte_was_answered() {
        assert_eq!(Death { answered: true, ..STALE }.judge(), Resend::Answered);
    }

    #[test]
    fn what_may_do_harm_twice_goes_out_again_only_when_nothing_was_written() {
        let post = Death { repeatable: false, ..STALE };
        assert_eq!(post.judge(), Resend::NotRepeatable);
        assert_eq!(Death { written: false, ..post }.judge(), Resend::Again);
    }

    #[test]
    fn what_the_server_refused_unprocessed_goes_out_again_whatever_it_does() {
        let refused = Death { refused: true, reused: false, repeatable: false, ..STALE };
        assert_eq!(refused.judge(), Resend::Again);
        assert_eq!(Death { at_hand: false, ..refused }.judge(), Resend::BodyGone);
        assert_eq!(Death { resent: true, ..refused }.judge(), Resend::AlreadyResent);
    }

    #[test]
    fn a_body_that_was_not_kept_cannot_go_out_again() {
        assert_eq!(Death { at_hand: false, ..STALE }.judge(), Resend::BodyGone);
    }

    #[test]
    fn idempotent_methods_and_keyed_requests_are_repeatable() {
        assert!(repeatable(&parts("GET", None)));
        assert!(repeatable(&parts("DELETE", None)));
        assert!(!repeatable(&parts("POST", None)));
        assert!(!repeatable(&parts("PATCH", None)));
        assert!(repeatable(&parts("POST", Some("1"))));
    }
}
