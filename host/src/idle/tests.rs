//! The book, driven by hand: keys are letters, connections are nothing, time is a number.
//!
//! Longer than most files: each rule of the book has its test, and they read in the order of its calls.

use super::*;

type Changes = Vec<Effect<()>>;

/// A book with the clock at zero.
struct Rig {
    book: Book<char, ()>,
    start: Instant,
    effects: Changes,
}

fn rig(per_origin: usize, total: usize) -> Rig {
    let idle_timeout = Duration::from_secs(90);
    let limits = Limits { per_origin, total, idle_per_origin: per_origin, idle_timeout, uses: u64::MAX };
    Rig { book: Book::new(limits), start: Instant::now(), effects: Vec::new() }
}

/// Connections to a place whose letter is a capital one may turn out to be shared.
impl Place for char {
    fn may_share(&self) -> bool {
        self.is_ascii_uppercase()
    }
}

impl Rig {
    fn take(&mut self, key: char, second: u64) -> Take<()> {
        let now = self.start + Duration::from_secs(second);
        self.book.take(&key, now, |()| true, &mut self.effects)
    }

    fn open(&mut self, key: char) -> Id {
        let id = self.slot(key);
        assert_eq!(self.opened(id, false, None), []);
        id
    }

    /// A slot without its connection yet.
    fn slot(&mut self, key: char) -> Id {
        match self.take(key, 0) {
            Take::Open(id) => id,
            other => panic!("{other:?}"),
        }
    }

    fn opened(&mut self, id: Id, shared: bool, until: Option<u64>) -> Changes {
        let until = until.map(|second| self.at(second));
        let opened = Opened { connection: (), shared, used: true, until };
        self.book.opened(id, opened, self.start, &mut self.effects);
        self.changes()
    }

    /// An open connection that carries one request and may carry `capacity`.
    fn share(&mut self, key: char, capacity: usize) -> Id {
        let id = self.slot(key);
        self.opened(id, true, None);
        self.book.capacity(id, capacity, self.start, &mut self.effects);
        id
    }

    fn at(&self, second: u64) -> Instant {
        self.start + Duration::from_secs(second)
    }

    fn wait(&mut self, key: char) -> Ticket {
        match self.take(key, 0) {
            Take::Wait(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    fn put_back(&mut self, id: Id, second: u64) -> Changes {
        self.hinted(id, Hint::default(), second)
    }

    fn hinted(&mut self, id: Id, hint: Hint, second: u64) -> Changes {
        let now = self.at(second);
        self.book.release(id, hint, now, &mut self.effects);
        self.changes()
    }

    fn discard(&mut self, id: Id) -> Changes {
        self.book.discard(id, Close::Failed, &mut self.effects);
        self.changes()
    }

    fn freed(&mut self, id: Id) -> Changes {
        self.book.freed(id, &mut self.effects);
        self.changes()
    }

    fn changes(&mut self) -> Changes {
        std::mem::take(&mut self.effects)
    }
}

#[test]
fn the_newest_idle_connection_comes_first() {
    let mut rig = rig(4, 4);
    let (a, b) = (rig.open('a'), rig.open('a'));
    rig.put_back(a, 1);
    rig.put_back(b, 2);
    assert_eq!(rig.take('a', 3), Take::Reuse(b, ()));
    assert_eq!(rig.take('a', 3), Take::Reuse(a, ()));
    assert_eq!(rig.book.idle(), 0);
}

#[test]
fn a_returning_connection_is_waited_for_by_as_many_as_there_are() {
    let mut rig = rig(4, 4);
    let a = rig.open('a');
    rig.book.returning(a);
    let ticket = rig.wait('a');
    assert!(matches!(rig.take('a', 0), Take::Open(_)));
    assert_eq!(rig.put_back(a, 0), [Effect::Reuse(ticket, a, ())]);
}

#[test]
fn who_waits_for_a_connection_that_does_not_return_opens_one() {
    let mut rig = rig(4, 4);
    let a = rig.open('a');
    rig.book.returning(a);
    let ticket = rig.wait('a');
    let changes = rig.discard(a);
    assert!(matches!(changes[..], [Effect::Close((), Close::Failed), Effect::Open(who, _)] if who == ticket));
}

#[test]
fn who_waits_for_a_connection_that_is_late_opens_one() {
    let mut rig = rig(4, 4);
    let a = rig.open('a');
    rig.book.returning(a);
    let ticket = rig.wait('a');
    rig.book.late(a, &mut rig.effects);
    assert!(matches!(rig.changes()[..], [Effect::Open(who, _)] if who == ticket));
}

#[test]
fn who_insists_opens_a_connection_unless_a_limit_is_in_the_way() {
    let mut rig = rig(2, 3);
    let a = rig.open('a');
    rig.book.returning(a);
    let first = rig.wait('a');
    assert!(rig.book.insist(&'a', first).is_some());
    assert_eq!(rig.book.insist(&'a', first), None, "it waits no longer");
    let second = rig.wait('a');
    assert_eq!(rig.book.insist(&'a', second), None, "its origin has as many as it may");
    rig.book.cancel(&'a', second, &mut rig.effects);

    let shared = rig.slot('A');
    let third = rig.wait('A');
    assert_eq!(rig.book.insist(&'A', third), None, "there are as many as there may be");
    rig.book.freed(shared, &mut rig.effects);
    assert!(matches!(rig.changes()[..], [Effect::Open(who, _)] if who == third));
    assert_eq!(rig.book.waiting(), 0);
}

#[test]
fn waiters_are_served_in_order_and_directly() {
    let mut rig = rig(1, 4);
    let a = rig.open('a');
    let (first, second) = (rig.wait('a'), rig.wait('a'));
    assert_eq!(rig.put_back(a, 0), [Effect::Reuse(first, a, ())]);
    assert_eq!(rig.put_back(a, 0), [Effect::Reuse(second, a, ())]);
    assert_eq!(rig.book.waiting(), 0);
}

#[test]
fn a_slot_is_free_only_when_its_socket_is_closed() {
    let mut rig = rig(1, 4);
    let a = rig.open('a');
    let ticket = rig.wait('a');
    assert_eq!(rig.discard(a), [Effect::Close((), Close::Failed)]);
    assert_eq!(rig.book.live(), 0);
    assert!(matches!(rig.freed(a)[..], [Effect::Open(who, _)] if who == ticket));
    assert_eq!(rig.book.live(), 1);
}

#[test]
fn who_left_the_queue_is_passed_over() {
    let mut rig = rig(1, 4);
    let a = rig.open('a');
    let (first, second) = (rig.wait('a'), rig.wait('a'));
    rig.book.cancel(&'a', first, &mut rig.effects);
    assert_eq!(rig.put_back(a, 0), [Effect::Reuse(second, a, ())]);
}

#[test]
fn the_least_recently_used_idle_connection_makes_room() {
    let mut rig = rig(4, 2);
    let (a, b) = (rig.open('a'), rig.open('b'));
    rig.put_back(b, 1);
    rig.put_back(a, 2);
    let ticket = rig.wait('c');
    assert_eq!(rig.changes(), [Effect::Close((), Close::Evicted)]);
    assert!(matches!(rig.freed(b)[..], [Effect::Open(who, _)] if who == ticket));
    assert_eq!(rig.take('a', 3), Take::Reuse(a, ()));
}

#[test]
fn one_waiter_evicts_one_connection() {
    let mut rig = rig(4, 2);
    let (a, b) = (rig.open('a'), rig.open('b'));
    rig.put_back(a, 1);
    rig.put_back(b, 2);
    rig.wait('c');
    assert_eq!(rig.changes().len(), 1);
    rig.wait('c');
    assert_eq!(rig.changes().len(), 1);
    rig.wait('c');
    assert_eq!(rig.changes(), []);
}

#[test]
fn a_connection_that_becomes_idle_makes_room_for_another_origin() {
    let mut rig = rig(4, 1);
    let a = rig.open('a');
    let ticket = rig.wait('b');
    assert_eq!(rig.changes(), []);
    assert_eq!(rig.put_back(a, 1), [Effect::Close((), Close::Evicted)]);
    assert!(matches!(rig.freed(a)[..], [Effect::Open(who, _)] if who == ticket));
}

#[test]
fn an_older_waiter_of_another_origin_comes_before_a_younger_one_of_the_same() {
    let mut rig = rig(4, 1);
    let a = rig.open('a');
    let older = rig.wait('b');
    let younger = rig.wait('a');
    assert_eq!(rig.put_back(a, 1), [Effect::Close((), Close::Evicted)]);
    let changes = rig.freed(a);
    let [Effect::Open(who, b)] = changes[..] else { panic!("{changes:?}") };
    assert_eq!(who, older);
    assert_eq!(rig.opened(b, false, None), []);
    assert_eq!(rig.put_back(b, 2), [Effect::Close((), Close::Evicted)]);
    assert!(matches!(rig.freed(b)[..], [Effect::Open(who, _)] if who == younger));
}

#[test]
fn more_than_the_idle_limit_is_not_kept() {
    let mut rig = rig(4, 4);
    rig.book.limits.idle_per_origin = 1;
    let (a, b) = (rig.open('a'), rig.open('a'));
    assert_eq!(rig.put_back(a, 0), []);
    assert_eq!(rig.put_back(b, 0), [Effect::Close((), Close::IdleLimit)]);
    assert_eq!((rig.book.idle(), rig.book.live()), (1, 1));
}

#[test]
fn what_was_idle_for_too_long_is_not_used() {
    let mut rig = rig(4, 4);
    let a = rig.open('a');
    rig.put_back(a, 0);
    assert!(matches!(rig.take('a', 90), Take::Open(_)));
    assert_eq!(rig.changes(), [Effect::Close((), Close::IdleTimeout)]);
}

#[test]
fn what_was_idle_for_too_long_is_closed_in_time() {
    let mut rig = rig(4, 4);
    let (a, b) = (rig.open('a'), rig.open('a'));
    rig.put_back(a, 0);
    rig.put_back(b, 10);
    let (now, next, last) = (rig.at(95), rig.at(100), rig.at(200));
    assert_eq!(rig.book.expire(now, &mut rig.effects), Some(next));
    assert_eq!(rig.changes(), [Effect::Close((), Close::IdleTimeout)]);
    assert_eq!(rig.book.expire(last, &mut rig.effects), None);
}

#[test]
fn what_the_server_closed_is_not_used() {
    let mut rig = rig(4, 4);
    let (a, b) = (rig.open('a'), rig.open('a'));
    rig.put_back(a, 0);
    rig.book.hung_up(a, Close::ClosedByServer, &mut rig.effects);
    assert_eq!(rig.changes(), [Effect::Close((), Close::ClosedByServer)]);
    rig.book.hung_up(b, Close::ClosedByServer, &mut rig.effects);
    assert_eq!(rig.changes(), []);
    rig.put_back(b, 0);
    let taken = rig.book.take(&'a', rig.start, |()| false, &mut rig.effects);
    assert!(matches!(taken, Take::Open(_)));
    assert_eq!(rig.changes(), [Effect::Close((), Close::ClosedByServer)]);
}

#[test]
fn nothing_is_remembered_of_an_origin_without_connections() {
    let mut rig = rig(1, 1);
    for key in 'a'..='z' {
        let id = rig.open(key);
        let ticket = rig.wait(key);
        rig.book.cancel(&key, ticket, &mut rig.effects);
        rig.freed(id);
    }
    assert!(rig.book.origins.is_empty() && rig.book.slots.is_empty() && rig.book.starved.is_empty());
}

#[test]
fn who_comes_while_a_connection_is_opened_that_may_be_shared_waits_for_it() {
    let mut rig = rig(4, 4);
    let a = rig.slot('A');
    let (first, second, third) = (rig.wait('A'), rig.wait('A'), rig.wait('A'));
    assert_eq!(rig.opened(a, true, None), []);
    rig.book.capacity(a, 3, rig.start, &mut rig.effects);
    // One is on it already, and the last one needs another.
    let changes = rig.changes();
    assert_eq!(changes[..2], [Effect::Reuse(first, a, ()), Effect::Reuse(second, a, ())]);
    assert!(matches!(changes[2..], [Effect::Open(who, _)] if who == third));
}

#[test]
fn who_waited_for_a_connection_that_is_not_shared_opens_one() {
    let mut rig = rig(3, 4);
    let a = rig.slot('A');
    let (first, second) = (rig.wait('A'), rig.wait('A'));
    let changes = rig.opened(a, false, None);
    assert!(matches!(changes[..], [Effect::Open(one, _), Effect::Open(two, _)] if (one, two) == (first, second)));
    // What is known of the server is remembered.
    rig.put_back(a, 0);
    assert_eq!(rig.take('A', 0), Take::Reuse(a, ()));
    assert!(matches!(rig.take('A', 0), Take::Wait(_)));
}

#[test]
fn who_waited_for_a_connection_that_failed_does_not_wait_for_the_next() {
    let mut rig = rig(4, 4);
    let a = rig.slot('A');
    let (first, second) = (rig.wait('A'), rig.wait('A'));
    let changes = rig.freed(a);
    assert!(matches!(changes[..], [Effect::Open(one, _), Effect::Open(two, _)] if (one, two) == (first, second)));
}

#[test]
fn who_waited_for_a_connection_that_takes_long_opens_one() {
    let mut rig = rig(4, 4);
    let a = rig.slot('A');
    let ticket = rig.wait('A');
    rig.book.late(a, &mut rig.effects);
    assert!(matches!(rig.changes()[..], [Effect::Open(who, _)] if who == ticket));
}

#[test]
fn a_shared_connection_is_filled_before_another_is_opened() {
    let mut rig = rig(4, 4);
    let a = rig.share('A', 2);
    assert_eq!(rig.take('A', 0), Take::Reuse(a, ()));
    let b = rig.share('A', 2);
    assert_eq!(rig.put_back(a, 0), []);
    assert_eq!(rig.take('A', 0), Take::Reuse(a, ()));
    assert_eq!(rig.take('A', 0), Take::Reuse(b, ()));
    assert!(matches!(rig.take('A', 0), Take::Open(_)));
    assert_eq!(rig.book.idle(), 0);
}

#[test]
fn a_shared_connection_is_idle_only_without_requests() {
    let mut rig = rig(4, 1);
    let a = rig.share('A', 2);
    assert_eq!(rig.take('A', 0), Take::Reuse(a, ()));
    let ticket = rig.wait('b');
    assert_eq!(rig.put_back(a, 0), []);
    assert_eq!(rig.put_back(a, 0), [Effect::Close((), Close::Evicted)]);
    assert!(matches!(rig.freed(a)[..], [Effect::Open(who, _)] if who == ticket));
}

#[test]
fn a_peer_may_lower_and_raise_how_much_a_connection_carries() {
    let mut rig = rig(1, 1);
    let a = rig.share('A', 2);
    assert_eq!(rig.take('A', 0), Take::Reuse(a, ()));
    rig.book.capacity(a, 1, rig.start, &mut rig.effects);
    assert_eq!(rig.put_back(a, 0), []);
    let ticket = rig.wait('A');
    rig.book.capacity(a, 5, rig.start, &mut rig.effects);
    assert_eq!(rig.changes(), [Effect::Reuse(ticket, a, ())]);
}

#[test]
fn a_shared_connection_that_goes_away_finishes_what_it_carries() {
    let mut rig = rig(4, 4);
    let a = rig.share('A', 9);
    assert_eq!(rig.take('A', 0), Take::Reuse(a, ()));
    rig.book.hung_up(a, Close::GoAway, &mut rig.effects);
    assert!(matches!(rig.take('A', 0), Take::Open(_)));
    assert_eq!(rig.put_back(a, 0), []);
    assert_eq!(rig.put_back(a, 0), [Effect::Close((), Close::GoAway)]);
}

#[test]
fn a_connection_serves_no_more_requests_than_allowed() {
    let mut rig = rig(4, 4);
    rig.book.limits.uses = 2;
    let a = rig.open('a');
    assert_eq!(rig.put_back(a, 0), []);
    assert_eq!(rig.take('a', 0), Take::Reuse(a, ()));
    assert_eq!(rig.put_back(a, 0), [Effect::Close((), Close::MaxUses)]);
    let b = rig.share('B', 9);
    assert_eq!(rig.take('B', 0), Take::Reuse(b, ()));
    assert!(matches!(rig.take('B', 0), Take::Open(_)));
    assert_eq!(rig.put_back(b, 0), []);
    assert_eq!(rig.put_back(b, 0), [Effect::Close((), Close::MaxUses)]);
}

#[test]
fn a_connection_that_is_too_old_finishes_what_it_carries() {
    let mut rig = rig(4, 4);
    let a = rig.slot('a');
    rig.opened(a, false, Some(10));
    assert_eq!(rig.put_back(a, 5), []);
    assert_eq!(rig.take('a', 9), Take::Reuse(a, ()));
    assert_eq!(rig.put_back(a, 11), [Effect::Close((), Close::MaxAge)]);
    let b = rig.slot('a');
    rig.opened(b, false, Some(10));
    assert_eq!(rig.put_back(b, 5), []);
    let (now, next) = (rig.at(9), rig.at(10));
    assert_eq!(rig.book.expire(now, &mut rig.effects), Some(next));
    assert_eq!(rig.book.expire(next, &mut rig.effects), None);
    assert_eq!(rig.changes(), [Effect::Close((), Close::MaxAge)]);
}

#[test]
fn a_server_is_taken_at_its_word_on_how_long_it_keeps_a_connection() {
    let mut rig = rig(4, 4);
    let a = rig.open('a');
    let hint = Hint { timeout: Some(Duration::from_secs(4)), more: None };
    assert_eq!(rig.hinted(a, hint, 0), []);
    assert_eq!(rig.take('a', 3), Take::Reuse(a, ()));
    // It said so once, which holds for the next time too.
    assert_eq!(rig.put_back(a, 3), []);
    assert!(matches!(rig.take('a', 7), Take::Open(_)));
    assert_eq!(rig.changes(), [Effect::Close((), Close::KeepAliveHint)]);
}

#[test]
fn a_server_is_taken_at_its_word_on_how_many_requests_it_takes() {
    let mut rig = rig(4, 4);
    let a = rig.open('a');
    let more = |more| Hint { timeout: None, more: Some(more) };
    assert_eq!(rig.hinted(a, more(1), 0), []);
    assert_eq!(rig.take('a', 0), Take::Reuse(a, ()));
    // Saying the same again does not give more.
    assert_eq!(rig.hinted(a, more(1), 0), [Effect::Close((), Close::KeepAliveHint)]);
    let b = rig.open('a');
    let now = Hint { timeout: Some(Duration::ZERO), more: None };
    assert_eq!(rig.hinted(b, now, 0), [Effect::Close((), Close::KeepAliveHint)]);
}

#[test]
fn a_connection_opened_ahead_is_idle_and_within_the_limits() {
    let mut rig = rig(2, 9);
    let (a, b) = (rig.book.reserve(&'a').unwrap(), rig.book.reserve(&'a').unwrap());
    assert_eq!(rig.book.reserve(&'a'), None);
    for id in [a, b] {
        let opened = Opened { connection: (), shared: false, used: false, until: None };
        rig.book.opened(id, opened, rig.start, &mut rig.effects);
    }
    assert_eq!((rig.book.idle(), rig.book.live()), (2, 2));
    assert_eq!(rig.take('a', 0), Take::Reuse(b, ()));
}

/// It was closed before, as one more than may be idle.
#[test]
fn what_a_peer_says_of_an_idle_connection_keeps_it_idle() {
    let mut rig = rig(1, 1);
    let a = rig.share('A', 2);
    assert_eq!(rig.put_back(a, 0), []);
    rig.book.capacity(a, 5, rig.start, &mut rig.effects);
    assert_eq!(rig.changes(), []);
    assert_eq!(rig.book.idle(), 1);
}

#[test]
fn a_connection_in_doubt_gets_no_requests_until_its_peer_is_known_to_be_there() {
    let mut rig = rig(2, 2);
    let a = rig.share('A', 5);
    rig.book.doubt(a);
    assert_eq!(rig.put_back(a, 0), []);
    let Take::Open(b) = rig.take('A', 0) else {
        panic!("the one in doubt was used");
    };
    rig.book.trust(a, rig.start, &mut rig.effects);
    assert_eq!(rig.take('A', 0), Take::Reuse(a, ()));
    rig.book.freed(b, &mut rig.effects);
    assert_eq!(rig.changes(), []);
}

/// At a limit there is nothing else to do than to wait for what the one in doubt turns out to be.
#[test]
fn whoever_waits_for_a_connection_in_doubt_gets_it_or_its_slot() {
    for answered in [true, false] {
        let mut rig = rig(1, 1);
        let a = rig.share('A', 5);
        assert_eq!(rig.take('A', 0), Take::Reuse(a, ()));
        rig.book.doubt(a);
        assert_eq!(rig.put_back(a, 0), []);
        let Take::Wait(ticket) = rig.take('A', 0) else {
            panic!("the one in doubt was used, or a limit passed");
        };
        if answered {
            rig.book.trust(a, rig.start, &mut rig.effects);
            assert_eq!(rig.changes(), [Effect::Reuse(ticket, a, ())]);
            continue;
        }
        rig.book.hung_up(a, Close::TimedOut, &mut rig.effects);
        assert_eq!(rig.changes(), []);
        // What it carries may still end well.
        assert_eq!(rig.put_back(a, 0), [Effect::Close((), Close::TimedOut)]);
        rig.book.freed(a, &mut rig.effects);
        assert!(matches!(rig.changes()[..], [Effect::Open(granted, _)] if granted == ticket));
    }
}

/// Every count of the book is what counting anew gives, and no limit is passed, whatever happens in whatever order.
#[test]
fn the_counts_hold_in_any_order_of_events() {
    for seed in 0..300_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (per_origin, total) = (1 + dice.roll(3), 1 + dice.roll(6));
        let mut rig = rig(per_origin, total);
        rig.book.limits.idle_per_origin = dice.roll(3);
        rig.book.limits.uses = 1 + dice.roll(9) as u64;
        let mut opening: Vec<Id> = Vec::new();
        let mut carrying: Vec<Id> = Vec::new();
        let mut closing: usize = 0;
        let mut tickets: Vec<(char, Ticket)> = Vec::new();
        for step in 0..400 {
            let second = step / 8;
            match dice.roll(11) {
                0..=3 => {
                    let key = ['a', 'b', 'C', 'D'][dice.roll(4)];
                    match rig.take(key, second) {
                        Take::Reuse(id, ()) => carrying.push(id),
                        Take::Open(id) => opening.push(id),
                        Take::Wait(ticket) => tickets.push((key, ticket)),
                    }
                }
                4 if !opening.is_empty() => {
                    let id = opening.swap_remove(dice.roll(opening.len()));
                    let shared = rig.book.slots[&id].key.may_share() && dice.roll(2) == 0;
                    let until = (dice.roll(2) == 0).then(|| rig.at(second + 9));
                    let opened = Opened { connection: (), shared, used: true, until };
                    let now = rig.at(second);
                    rig.book.opened(id, opened, now, &mut rig.effects);
                    carrying.push(id);
                    if shared {
                        rig.book.capacity(id, dice.roll(4), now, &mut rig.effects);
                    }
                }
                5 if !opening.is_empty() => {
                    let id = opening.swap_remove(dice.roll(opening.len()));
                    rig.book.freed(id, &mut rig.effects);
                }
                6 | 7 if !carrying.is_empty() => {
                    let id = carrying.swap_remove(dice.roll(carrying.len()));
                    let hint = Hint { timeout: (dice.roll(4) == 0).then_some(Duration::from_secs(2)), more: None };
                    let now = rig.at(second);
                    match dice.roll(6) {
                        0 => rig.book.discard(id, Close::Failed, &mut rig.effects),
                        1 => {
                            rig.book.returning(id);
                            rig.book.late(id, &mut rig.effects);
                            rig.book.release(id, hint, now, &mut rig.effects);
                        }
                        2 => {
                            rig.book.hung_up(id, Close::GoAway, &mut rig.effects);
                            rig.book.release(id, hint, now, &mut rig.effects);
                        }
                        3 => {
                            rig.book.doubt(id);
                            rig.book.release(id, hint, now, &mut rig.effects);
                        }
                        4 => {
                            rig.book.release(id, hint, now, &mut rig.effects);
                            rig.book.trust(id, now, &mut rig.effects);
                        }
                        _ => rig.book.release(id, hint, now, &mut rig.effects),
                    }
                }
                8 if closing > 0 => {
                    let id = rig.book.slots.iter().find(|(_, slot)| matches!(slot.phase, Phase::Closing));
                    let id = *id.unwrap().0;
                    closing -= 1;
                    rig.book.freed(id, &mut rig.effects);
                }
                9 if !tickets.is_empty() => {
                    let (key, ticket) = tickets.swap_remove(dice.roll(tickets.len()));
                    rig.book.cancel(&key, ticket, &mut rig.effects);
                }
                10 if !tickets.is_empty() => {
                    let place = dice.roll(tickets.len());
                    let (key, ticket) = tickets[place];
                    if let Some(id) = rig.book.insist(&key, ticket) {
                        tickets.swap_remove(place);
                        opening.push(id);
                    }
                }
                _ => {
                    let now = rig.at(second);
                    rig.book.expire(now, &mut rig.effects);
                }
            }
            for change in rig.changes() {
                match change {
                    Effect::Reuse(ticket, id, ()) => {
                        tickets.retain(|(_, other)| *other != ticket);
                        carrying.push(id);
                    }
                    Effect::Open(ticket, id) => {
                        tickets.retain(|(_, other)| *other != ticket);
                        opening.push(id);
                    }
                    Effect::Close((), _) => closing += 1,
                }
            }
            rig.book.check();
            assert_eq!(rig.book.waiting(), tickets.len(), "seed {seed}");
        }
        // At the end of everything nobody waits and nothing is left.
        while !rig.book.slots.is_empty() {
            let now = rig.at(1_000_000);
            for id in carrying.drain(..) {
                rig.book.discard(id, Close::Failed, &mut rig.effects);
            }
            for id in opening.drain(..) {
                rig.book.freed(id, &mut rig.effects);
            }
            rig.book.expire(now, &mut rig.effects);
            let closed: Vec<Id> = rig
                .book
                .slots
                .iter()
                .filter(|(_, slot)| matches!(slot.phase, Phase::Closing))
                .map(|(id, _)| *id)
                .collect();
            for id in closed {
                rig.book.freed(id, &mut rig.effects);
            }
            for change in rig.changes() {
                match change {
                    Effect::Reuse(_, id, ()) => carrying.push(id),
                    Effect::Open(_, id) => opening.push(id),
                    Effect::Close((), _) => {}
                }
            }
            rig.book.check();
        }
        assert_eq!(rig.book.waiting(), 0, "seed {seed}");
        assert!(rig.book.origins.is_empty(), "seed {seed}");
    }
}

/// A small source of numbers that look random.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }
}

impl Book<char, ()> {
    /// Compares every count with what it counts.
    fn check(&self) {
        assert!(self.slots.len() <= self.limits.total);
        let phase = |wanted: fn(&Phase<()>) -> bool| self.slots.values().filter(|slot| wanted(&slot.phase)).count();
        assert_eq!(self.closing, phase(|phase| matches!(phase, Phase::Closing)));
        assert_eq!(self.idle.len(), phase(|phase| matches!(phase, Phase::Open(open) if open.rest.is_some())));
        assert_eq!(self.idle.len(), self.due.len());
        assert_eq!(self.waiting, self.origins.values().map(|origin| origin.waiters.len()).sum::<usize>());
        assert_eq!(self.lack, self.origins.values().map(|origin| origin.lack).sum::<usize>());
        let starving: usize = self.origins.values().filter(|origin| origin.starving.is_some()).count();
        assert_eq!(self.starved.len(), starving);
        for (key, origin) in &self.origins {
            let own: Vec<_> = self.slots.iter().filter(|(_, slot)| slot.key == *key).collect();
            assert!(own.len() <= self.limits.per_origin);
            assert_eq!(origin.live, own.len());
            let covers = |cover| own.iter().filter(|(_, slot)| slot.cover == cover).count();
            assert_eq!((origin.returning, origin.promising), (covers(Cover::One), covers(Cover::All)));
            for (id, slot) in own {
                let listed = origin.free.contains(id);
                let Phase::Open(open) = &slot.phase else {
                    assert!(!listed);
                    continue;
                };
                let spare = open.streams < open.capacity && open.more > 0 && !open.doubted && open.retired.is_none();
                assert_eq!(listed, spare, "{open:?}");
                assert_eq!(open.rest.is_some(), open.streams == 0 && open.retired.is_none(), "{open:?}");
                // Nobody waits for what could be had.
                assert!(!spare || origin.waiters.is_empty());
            }
            // Nobody waits without a reason: something is to come, or a limit is reached.
            let at_limit = own_limit(origin, self.limits) || self.slots.len() >= self.limits.total;
            assert!(origin.waiters.len() <= origin.returning || origin.promising > 0 || at_limit);
        }
    }
}

fn own_limit(origin: &Origin, limits: Limits) -> bool {
    origin.live >= limits.per_origin
}
