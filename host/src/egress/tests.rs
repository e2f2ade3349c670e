use super::*;

/// What a policy says of one address of `a.test`, on port 80.
fn address(egress: &Egress, ip: &str) -> Verdict {
    egress.address("a.test", SocketAddr::new(ip.parse().unwrap(), 80))
}

/// What a policy says of an address that is given as host.
fn literal(egress: &Egress, ip: &str, port: u16) -> Verdict {
    assert_eq!(egress.name(ip, port), Verdict::Allow, "{ip}: an address is not judged as a name");
    egress.address(ip, SocketAddr::new(ip.parse().unwrap(), port))
}

#[test]
fn the_default_lets_everything_through() {
    let egress = Egress::default();
    assert!(egress.is_open());
    assert_eq!(egress, Egress::open());
    assert_eq!(egress.name("a.test", 80), Verdict::Allow);
    for ip in ["127.0.0.1", "169.254.169.254", "::1", "8.8.8.8"] {
        assert_eq!(address(&egress, ip), Verdict::Allow, "{ip}");
    }
    assert!(!Egress::untrusted().is_open());
    assert!(!Egress::open().allow("*").unwrap().is_open());
    assert!(!Egress::open().deny("a.test").unwrap().is_open());
}

#[test]
fn untrusted_guests_are_kept_from_all_that_is_not_public() {
    for ip in [
        // IPv4, both ends of each range.
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "192.168.255.255",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
        "100.100.100.200",
        // IPv6.
        "::",
        "::1",
        "fc00::1",
        "fdff::1",
        "fd00:ec2::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "3fff::1",
        "2001:2::1",
        "100::1",
        "5f00::1",
        "4000::1",
        // IPv4 in IPv6: mapped, compatible, translated, NAT64, for local use too, 6to4, Teredo.
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "::a00:1",
        "::ffff:0:10.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::10.0.0.1",
        "64:ff9b:1:0a00:0:100::",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2002:c0a8:101::1",
        "2001:0:0a00:0001::1",
        "2001:0:808:808:0:0:f5ff:fffe",
    ] {
        assert_eq!(address(&Egress::untrusted(), ip), Verdict::Deny(Reason::Range), "{ip}");
    }
}

#[test]
fn untrusted_guests_reach_the_public_internet() {
    for ip in [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.1",
        "192.167.255.255",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "168.63.129.15",
        "2001:4860:4860::8888",
        "2606:4700::1111",
        "2a00::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
    ] {
        assert_eq!(address(&Egress::untrusted(), ip), Verdict::Allow, "{ip}");
    }
}

#[test]
fn a_name_is_known_by_every_spelling_of_it() {
    let egress = Egress::open().deny("A.test.").unwrap();
    for host in ["a.test", "A.TEST", "a.test.", "a.test.."] {
        assert_eq!(egress.name(host, 80), Verdict::Deny(Reason::Listed), "{host}");
    }
    for host in ["b.test", "x.a.test", "xa.test", "a.test.b", "test"] {
        assert_eq!(egress.name(host, 80), Verdict::Allow, "{host}");
    }
}

#[test]
fn a_star_stands_for_any_depth_below_a_name_but_not_for_the_name() {
    let egress = Egress::open().allow("*.a.test").unwrap();
    for host in ["b.a.test", "c.b.A.test", "b.a.test."] {
        assert_eq!(egress.name(host, 80), Verdict::Allow, "{host}");
    }
    for host in ["a.test", ".a.test", "xa.test", "b.a.test.c", "test", "t"] {
        assert_eq!(egress.name(host, 80), Verdict::Deny(Reason::NotListed), "{host}");
    }
}

#[test]
fn a_rule_with_a_port_holds_for_that_port_alone() {
    let egress = Egress::open().allow("a.test:443").unwrap().allow("[::1]:80").unwrap().allow("10.0.0.0/8:81").unwrap();
    assert_eq!(egress.name("a.test", 443), Verdict::Allow);
    // Another name may still have an address that is allowed on its port.
    assert_eq!(egress.name("b.test", 80), Verdict::Allow);
    assert_eq!(egress.name("a.test", 8443), Verdict::Deny(Reason::NotListed));
    assert_eq!(literal(&egress, "::1", 80), Verdict::Allow);
    assert_eq!(literal(&egress, "::1", 443), Verdict::Deny(Reason::NotListed));
    assert_eq!(literal(&egress, "10.9.9.9", 81), Verdict::Allow);
    assert_eq!(literal(&egress, "10.9.9.9", 80), Verdict::Deny(Reason::NotListed));
    let egress = Egress::open().deny("*:25").unwrap();
    assert_eq!(egress.name("a.test", 25), Verdict::Deny(Reason::Listed));
    assert_eq!(literal(&egress, "10.0.0.1", 25), Verdict::Deny(Reason::Listed));
    assert_eq!(literal(&egress, "10.0.0.1", 80), Verdict::Allow);
}

#[test]
fn deny_rules_come_first() {
    let egress = Egress::untrusted().allow("10.0.0.0/8").unwrap().allow("*").unwrap().deny("10.0.0.1").unwrap();
    assert_eq!(address(&egress, "10.0.0.1"), Verdict::Deny(Reason::Listed));
    assert_eq!(address(&egress, "10.0.0.2"), Verdict::Allow);
    assert_eq!(literal(&egress, "10.0.0.1", 80), Verdict::Deny(Reason::Listed));
    let egress = Egress::open().allow("a.test").unwrap().deny("*.test").unwrap();
    assert_eq!(egress.name("a.test", 80), Verdict::Deny(Reason::Listed));
}

#[test]
fn a_denied_network_is_denied_in_all_its_forms() {
    let egress = Egress::open().deny("10.0.0.0/8").unwrap();
    for ip in [
        "10.0.0.1",
        "::ffff:10.0.0.1",
        "::10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::10.0.0.1",
        "64:ff9b:1:a00:0:100::",
        "64:ff9b:1:a:0:1::",
        "64:ff9b:1:0:a:0:100:0",
        "2002:a00:1::",
        "2001:0:a00:1::",
        "2001::f5ff:fffe",
    ] {
        assert_eq!(address(&egress, ip), Verdict::Deny(Reason::Listed), "{ip}");
    }
    assert_eq!(address(&egress, "64:ff9b::11.0.0.1"), Verdict::Allow);
}

#[test]
fn an_allowed_address_lifts_the_preset_for_itself_alone() {
    let egress = Egress::untrusted().allow("10.1.0.0/16").unwrap();
    assert_eq!(address(&egress, "10.1.2.3"), Verdict::Allow);
    assert_eq!(address(&egress, "::ffff:10.1.2.3"), Verdict::Allow);
    assert_eq!(address(&egress, "10.2.0.1"), Verdict::Deny(Reason::Range));
    assert_eq!(address(&egress, "64:ff9b::10.1.2.3"), Verdict::Deny(Reason::Range));
    assert_eq!(address(&egress, "8.8.8.8"), Verdict::Deny(Reason::NotListed));
}

/// The owner of an allowed name decides where it leads.
#[test]
fn an_allowed_name_does_not_lift_the_preset() {
    for rule in ["a.test", "*.test", "*"] {
        let egress = Egress::untrusted().allow(rule).unwrap();
        assert_eq!(egress.name("a.test", 80), Verdict::Allow, "{rule}");
        assert_eq!(address(&egress, "127.0.0.1"), Verdict::Deny(Reason::Range), "{rule}");
        assert_eq!(address(&egress, "8.8.8.8"), Verdict::Allow, "{rule}");
    }
}

#[test]
fn with_allow_rules_the_rest_is_denied() {
    let names = Egress::open().allow("a.test").unwrap();
    assert_eq!(names.name("b.test", 80), Verdict::Deny(Reason::NotListed));
    assert_eq!(address(&names, "10.0.0.1"), Verdict::Allow);
    assert_eq!(literal(&names, "10.0.0.1", 80), Verdict::Deny(Reason::NotListed));
    let networks = Egress::open().allow("10.0.0.0/8").unwrap();
    assert_eq!(networks.name("b.test", 80), Verdict::Allow);
    assert_eq!(address(&networks, "10.0.0.1"), Verdict::Allow);
    assert_eq!(address(&networks, "11.0.0.1"), Verdict::Deny(Reason::NotListed));
}

#[test]
fn names_and_addresses_are_not_mixed_up() {
    let egress = Egress::open().deny("*.test").unwrap().deny("a").unwrap();
    assert_eq!(literal(&egress, "1.2.3.4", 80), Verdict::Allow);
    assert_eq!(literal(&egress, "::a", 80), Verdict::Allow);
}

#[test]
fn what_is_no_rule_is_refused() {
    for (rule, why) in [
        ("", "no host name"),
        ("a..test", "no host name"),
        (".a.test", "no host name"),
        ("*a.test", "no host name"),
        ("a.*.test", "no host name"),
        ("*.", "no host name"),
        ("**", "no host name"),
        ("http://a.test", "a port is a number"),
        ("a.test/x", "no host name"),
        ("a b", "no host name"),
        ("a@b.test", "no host name"),
        ("münchen.test", "xn--"),
        ("a.test:", "from 1 to 65535"),
        ("a.test:0", "from 1 to 65535"),
        ("a.test:65536", "from 1 to 65535"),
        ("a.test:+1", "a port is a number"),
        ("a.test:http", "a port is a number"),
        ("fd00::/8:443", "brackets"),
        ("[::1", "no host name"),
        ("[a.test]:80", "no address in the brackets"),
        ("[::1]80", "nothing but a port"),
        ("10.0.0.0/33", "no host name"),
        ("10.0.0", "four decimal numbers"),
        ("0x7f.1", "four decimal numbers"),
        ("0177.0.0.1", "four decimal numbers"),
        ("*.1", "four decimal numbers"),
        ("a.0x7f", "four decimal numbers"),
    ] {
        for refused in [Egress::open().allow(rule), Egress::open().deny(rule)] {
            let error = refused.unwrap_err();
            assert!(matches!(error, Error::Egress(_)), "{rule}");
            let text = error.to_string();
            assert!(text.starts_with("egress rule ") && text.contains(why), "{rule}: {text}");
        }
    }
}
