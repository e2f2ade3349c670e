//! Which request to an origin may start, and which waits.

use urlpool_core::slots::{Acquired, WhenFull};
use urlpool_core::{Origin, Slots, Target};

fn origin(url: &str) -> Origin {
    Target::parse(url).expect("a URL").0.origin().clone()
}

fn a() -> Origin {
    origin("http://a.test/")
}

fn b() -> Origin {
    origin("http://b.test/")
}

fn queueing(per_origin: u32) -> Slots {
    Slots::new(Some(per_origin), WhenFull::Queue, 32)
}

#[test]
fn requests_beyond_the_slots_wait_and_are_served_in_order() {
    let mut slots = queueing(2);
    let acquired: Vec<_> = (1..=5).map(|ticket| slots.acquire(&a(), ticket)).collect();
    assert_eq!(acquired, [Acquired::Granted, Acquired::Granted, Acquired::Queued, Acquired::Queued, Acquired::Queued]);
    assert_eq!((slots.in_flight(), slots.queued()), (2, 3));
    assert_eq!([2, 1, 3].map(|ticket| slots.release(ticket)), [Some(3), Some(4), Some(5)]);
    assert_eq!((slots.in_flight(), slots.queued()), (2, 0));
    assert_eq!([4, 5].map(|ticket| slots.release(ticket)), [None, None]);
    assert_eq!((slots.in_flight(), slots.queued()), (0, 0));
}

#[test]
fn no_more_wait_than_the_queue_holds_over_all_origins() {
    let mut slots = queueing(1).with_queue(Some(2));
    assert_eq!([(a(), 1), (b(), 2)].map(|(origin, ticket)| slots.acquire(&origin, ticket)), [Acquired::Granted; 2]);
    assert_eq!([(a(), 3), (b(), 4)].map(|(origin, ticket)| slots.acquire(&origin, ticket)), [Acquired::Queued; 2]);
    assert_eq!(slots.acquire(&a(), 5), Acquired::QueueFull);
    assert_eq!((slots.in_flight(), slots.queued()), (2, 2));
    assert_eq!(slots.release(2), Some(4));
    assert_eq!(slots.acquire(&a(), 5), Acquired::Queued);
    // Where a slot is free, the queue does not matter.
    assert_eq!(slots.with_queue(Some(0)).acquire(&origin("http://c.test"), 6), Acquired::Granted);
}

#[test]
fn each_origin_has_slots_of_its_own() {
    let mut slots = queueing(1);
    assert_eq!(slots.acquire(&a(), 1), Acquired::Granted);
    assert_eq!(slots.acquire(&b(), 2), Acquired::Granted);
    assert_eq!(slots.acquire(&a(), 3), Acquired::Queued);
    assert_eq!(slots.release(2), None);
    assert_eq!(slots.release(1), Some(3));
}

#[test]
fn a_full_origin_refuses_where_waiting_is_not_wanted() {
    let mut slots = Slots::new(Some(1), WhenFull::Refuse, 32);
    assert_eq!(slots.acquire(&a(), 1), Acquired::Granted);
    assert_eq!(slots.acquire(&a(), 2), Acquired::Refused);
    assert_eq!(slots.release(2), None);
    slots.release(1);
    assert_eq!(slots.acquire(&a(), 3), Acquired::Granted);
}

#[test]
fn zero_slots_count_as_one() {
    let mut slots = queueing(0);
    assert_eq!(slots.acquire(&a(), 1), Acquired::Granted);
    assert_eq!(slots.acquire(&a(), 2), Acquired::Queued);
}

#[test]
fn without_a_limit_nobody_waits() {
    let (mut slots, a) = (Slots::new(None, WhenFull::Refuse, 32), a());
    assert!((0..5000).all(|ticket| slots.acquire(&a, ticket) == Acquired::Granted));
    assert_eq!(slots.in_flight(), 5000);
    slots.hold(0);
    assert!(!slots.all_held(&a));
}

#[test]
fn who_gives_up_waiting_is_passed_over() {
    let mut slots = queueing(1);
    for ticket in 1..=4 {
        slots.acquire(&a(), ticket);
    }
    assert_eq!(slots.release(2), None);
    assert_eq!(slots.release(3), None);
    assert_eq!(slots.queued(), 1);
    assert_eq!(slots.release(1), Some(4));
}

#[test]
fn a_slot_is_given_back_once() {
    let mut slots = queueing(1);
    for ticket in 1..=3 {
        slots.acquire(&a(), ticket);
    }
    assert_eq!(slots.release(1), Some(2));
    assert_eq!(slots.release(1), None);
    assert_eq!((slots.in_flight(), slots.queued()), (1, 1));
}

#[test]
fn a_waiter_is_stuck_only_while_every_slot_is_held() {
    let mut slots = queueing(2);
    for ticket in 1..=3 {
        slots.acquire(&a(), ticket);
    }
    slots.acquire(&b(), 4);
    slots.hold(1);
    assert!(!slots.stuck(3));
    slots.hold(2);
    slots.hold(2);
    assert!(slots.stuck(3));
    assert!(slots.all_held(&a()) && !slots.all_held(&b()));
    // Only who waits is stuck.
    assert!(!slots.stuck(1) && !slots.stuck(4) && !slots.stuck(9));
    assert_eq!(slots.release(1), Some(3));
    assert!(!slots.all_held(&a()));
}

#[test]
fn a_slot_that_is_free_is_not_held() {
    let mut slots = queueing(2);
    slots.acquire(&a(), 1);
    slots.hold(1);
    assert!(!slots.all_held(&a()));
}

#[test]
fn closing_ends_every_wait_in_order_and_leaves_slots_in_use() {
    let mut slots = queueing(1);
    for (ticket, origin) in [(1, a()), (2, b()), (3, b()), (4, a()), (5, b())] {
        slots.acquire(&origin, ticket);
    }
    assert_eq!(slots.close(), [3, 4, 5]);
    assert_eq!(slots.close(), []);
    assert_eq!(slots.acquire(&a(), 6), Acquired::Closed);
    assert_eq!((slots.in_flight(), slots.queued()), (2, 0));
    assert_eq!([1, 2].map(|ticket| slots.release(ticket)), [None, None]);
    assert_eq!(slots.in_flight(), 0);
}

#[test]
fn an_origin_in_use_is_never_forgotten() {
    let mut slots = Slots::new(Some(1), WhenFull::Queue, 1);
    let origins: Vec<_> = (0..4).map(|port| origin(&format!("http://a.test:{}/", 8000 + port))).collect();
    for (ticket, origin) in (0..).zip(&origins) {
        assert_eq!(slots.acquire(origin, ticket), Acquired::Granted);
    }
    assert_eq!(slots.origins(), 4);
    assert_eq!(slots.acquire(&origins[0], 10), Acquired::Queued);
    assert_eq!(slots.release(0), Some(10));
    for ticket in [1, 2, 10, 3] {
        slots.release(ticket);
    }
    assert_eq!((slots.origins(), slots.in_flight()), (1, 0));
}

#[test]
fn no_origin_need_be_remembered() {
    let mut slots = Slots::new(Some(1), WhenFull::Queue, 0);
    assert_eq!(slots.acquire(&a(), 1), Acquired::Granted);
    assert_eq!(slots.acquire(&a(), 2), Acquired::Queued);
    assert_eq!(slots.release(1), Some(2));
    assert_eq!(slots.release(2), None);
    assert_eq!(slots.origins(), 0);
}

#[test]
fn thousands_may_come_and_give_up() {
    let (mut slots, a) = (queueing(8), a());
    for ticket in 0..20_000 {
        slots.acquire(&a, ticket);
    }
    assert!((8..19_999).all(|ticket| slots.release(ticket).is_none()));
    assert_eq!(slots.queued(), 1);
    assert_eq!(slots.release(0), Some(19_999));
}
