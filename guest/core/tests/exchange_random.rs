//! What a server gets of a call that does nothing but ask for more.
//!
//! What else holds of an exchange, whatever happens to it, is tried by `guest/core/fuzz`.

mod scenario;

use proptest::prelude::*;
use urlpool_core::Redirect;
use urlpool_core::retry::AtLimit;

use scenario::{get, retry};

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// A server that answers nothing but redirects and transient statuses meets the limits exactly.
    #[test]
    fn a_hostile_server_gets_as_many_attempts_as_the_limits_allow(retries in 0_u32..5, hops in 1_u32..5, mix in any::<u16>()) {
        let mut run = get()
            .streaming()
            .pool(|pool| {
                pool.retry = retry().with_total(retries).with_statuses([503]).with_at_limit(AtLimit::Fail);
                pool.redirect = Redirect::default().with_limit(hops);
            })
            .begin();
        let mut turn = 0;
        while !run.is_finished() {
            let step = run.last_step().to_owned();
            run = match step.split(' ').next() {
                Some("acquire") => run.grant(),
                Some("send") if mix >> (turn % 16) & 1 == 1 => run.answer(302, &[("Location", "/x")]),
                Some("send") => run.answer(503, &[]),
                _ => run.expire(),
            };
            turn += 1;
            prop_assert!(turn < 100);
        }
        let counts = run.exchange.counts();
        prop_assert!(counts.retries == retries || counts.redirects == hops, "{counts:?}");
        prop_assert_eq!(counts.attempts, 1 + counts.retries + counts.redirects);
    }
}
