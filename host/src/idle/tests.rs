//! The book, driven by hand: keys are letters, connections are nothing, time is a number.

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
    let limits = Limits { per_origin, total, idle_per_origin: per_origin, idle_timeout };
    Rig { book: Book::new(limits), start: Instant::now(), effects: Vec::new() }
}

impl Rig {
    fn take(&mut self, key: char, second: u64) -> Take<()> {
        let now = self.start + Duration::from_secs(second);
        self.book.take(&key, now, |()| true, &mut self.effects)
    }

    fn open(&mut self, key: char) -> Id {
        match self.take(key, 0) {
            Take::Open(id) => id,
            other => panic!("{other:?}"),
        }
    }

    fn wait(&mut self, key: char) -> Ticket {
        match self.take(key, 0) {
            Take::Wait(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    fn put_back(&mut self, id: Id, second: u64) -> Changes {
        let now = self.start + Duration::from_secs(second);
        self.book.put_back(id, (), now, &mut self.effects);
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
    rig.book.closing(a, &mut rig.effects);
    assert!(matches!(rig.changes()[..], [Effect::Open(who, _)] if who == ticket));
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
    rig.book.closing(a, &mut rig.effects);
    assert_eq!(rig.changes(), []);
    assert_eq!(rig.book.live(), 0);
    assert!(matches!(rig.freed(a)[..], [Effect::Open(who, _)] if who == ticket));
    assert_eq!(rig.book.live(), 1);
}

#[test]
fn who_left_the_queue_is_passed_over() {
    let mut rig = rig(1, 4);
    let a = rig.open('a');
    let (first, second) = (rig.wait('a'), rig.wait('a'));
    rig.book.cancel(first, &mut rig.effects);
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
    let at = |second| rig.start + Duration::from_secs(second);
    let (now, next, last) = (at(95), at(100), at(200));
    assert_eq!(rig.book.expire(now, &mut rig.effects), Some(next));
    assert_eq!(rig.changes(), [Effect::Close((), Close::IdleTimeout)]);
    assert_eq!(rig.book.expire(last, &mut rig.effects), None);
}

#[test]
fn what_the_server_closed_is_not_used() {
    let mut rig = rig(4, 4);
    let (a, b) = (rig.open('a'), rig.open('a'));
    rig.put_back(a, 0);
    rig.book.hung_up(a, &mut rig.effects);
    assert_eq!(rig.changes(), [Effect::Close((), Close::ClosedByServer)]);
    rig.book.hung_up(b, &mut rig.effects);
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
        rig.book.cancel(ticket, &mut rig.effects);
        rig.freed(id);
    }
    assert!(rig.book.origins.is_empty() && rig.book.slots.is_empty() && rig.book.queue.is_empty());
}
