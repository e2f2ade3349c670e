//! Which destinations a guest may reach.

use crate::error::Error;
use crate::network::Network;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Which destinations a guest may reach. The default lets it reach all.
///
/// A rule is one of these, and may end in `:port` to hold for that port alone:
///
/// - `a.test`, a host by its name;
/// - `*.a.test`, every host below that name at any depth, but not that name itself;
/// - `*`, every host, also one given as an address;
/// - `10.1.2.3` or `[::1]`, an address;
/// - `10.0.0.0/8` or `[fd00::/8]`, a network. Without a port the brackets may be left out.
///
/// What decides, first to last:
///
/// 1. What a deny rule covers is denied.
/// 2. What an allow rule covers that names an address or a network is allowed, whatever the preset says.
/// 3. What the preset of [`untrusted`](Self::untrusted) denies is denied.
/// 4. Where there are allow rules, what none of them covers is denied.
///
/// So allowing a name does not lift the preset for the addresses it has: whoever owns the name could have it lead to any
/// address (DNS rebinding). To let guests reach an internal host, allow its address.
///
/// Names are compared without regard to case and to a final dot, as the guest wrote them: a rule about a name says nothing of the
/// other names and the addresses of the same host. Addresses are judged after the lookup, each one before it is connected
/// to. An address of IPv6 that stands for one of IPv4 (NAT64, 6to4 and the like) is denied with the latter.
///
/// ```
/// use urlpool_host::Egress;
///
/// # fn main() -> Result<(), urlpool_host::Error> {
/// let egress = Egress::untrusted().allow("10.1.2.3:8080")?.allow("*.a.test:443")?.deny("admin.a.test")?;
/// # drop(egress);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Egress {
    untrusted: bool,
    allow: Vec<Rule>,
    deny: Vec<Rule>,
}

/// May this destination be reached?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allow,
    Deny(Reason),
}

/// Why a destination is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A rule of the policy names it.
    Listed,
    /// Only listed destinations are allowed.
    NotListed,
    /// It is in a range that guests are kept from.
    Range,
}

impl Reason {
    /// The word for it in events.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::NotListed => "not-listed",
            Self::Range => "not-public",
        }
    }
}

impl Egress {
    /// Everything is allowed.
    pub fn open() -> Self {
        Self::default()
    }

    /// Nothing but the public internet is allowed: what guests of unknown origin may have.
    ///
    /// Denied are loopback, private, link-local and shared addresses (`100.64.0.0/10`), with them those where clouds serve
    /// their metadata, and the unspecified, multicast, broadcast, documentation, benchmark and reserved ones; in IPv6 all that
    /// is not global unicast, such as unique local and site-local addresses; and those of IPv6 that stand for such an address
    /// of IPv4 (mapped, compatible, NAT64, 6to4, Teredo).
    pub fn untrusted() -> Self {
        Self { untrusted: true, ..Self::default() }
    }

    /// Allows what `rule` covers, and denies what no allow rule covers.
    ///
    /// # Errors
    ///
    /// [`Error::Egress`] when the rule cannot be read.
    pub fn allow(mut self, rule: &str) -> Result<Self, Error> {
        self.allow.push(Rule::parse(rule)?);
        Ok(self)
    }

    /// Denies what `rule` covers, whatever else is allowed.
    ///
    /// # Errors
    ///
    /// [`Error::Egress`] when the rule cannot be read.
    pub fn deny(mut self, rule: &str) -> Result<Self, Error> {
        self.deny.push(Rule::parse(rule)?);
        Ok(self)
    }

    /// Whether everything is allowed.
    pub(crate) fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// What is known before the name is looked up. An address given as host is left to [`address`](Self::address).
    pub(crate) fn name(&self, host: &str, port: u16) -> Verdict {
        if host.parse::<IpAddr>().is_ok() {
            return Verdict::Allow;
        }
        if self.deny.iter().any(|rule| rule.names(host, port)) {
            return Verdict::Deny(Reason::Listed);
        }
        // Where a network is allowed, the addresses of the name decide.
        let may = |rule: &Rule| rule.names(host, port) || (rule.is_network() && rule.on(port));
        if self.allow.is_empty() || self.allow.iter().any(may) {
            return Verdict::Allow;
        }
        Verdict::Deny(Reason::NotListed)
    }

    /// Whether this address of `host` may be connected to.
    pub(crate) fn address(&self, host: &str, address: SocketAddr) -> Verdict {
        let (ip, port) = (address.ip().to_canonical(), address.port());
        let forms = forms(ip);
        if self.deny.iter().any(|rule| rule.names(host, port) || forms.iter().any(|form| rule.covers(*form, port))) {
            return Verdict::Deny(Reason::Listed);
        }
        // What an address stands for is not allowed along with it: the way there is another one.
        if self.allow.iter().any(|rule| rule.covers(ip, port)) {
            return Verdict::Allow;
        }
        if self.untrusted && !is_public(ip) {
            return Verdict::Deny(Reason::Range);
        }
        if self.allow.is_empty() || self.allow.iter().any(|rule| rule.names(host, port)) {
            return Verdict::Allow;
        }
        Verdict::Deny(Reason::NotListed)
    }
}

/// One rule of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Rule {
    place: Place,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    Any,
    Name(String),
    /// With the dot in front.
    Below(String),
    Network(Network),
}

impl Rule {
    fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Egress(format!("{text:?}: {why}"));
        if !text.is_ascii() {
            return Err(wrong("a name is written in ASCII, an international one in its xn-- form"));
        }
        // Before a port is looked for, since addresses of IPv6 hold colons.
        if let Some(network) = Network::parse(text) {
            return Ok(Self { place: Place::Network(network), port: None });
        }
        let (place, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, port)) => {
                let network = Network::parse(address).ok_or_else(|| wrong("no address in the brackets"))?;
                (Place::Network(network), port)
            }
            None => {
                let (place, port) = text.split_at(text.find(':').unwrap_or(text.len()));
                (Place::parse(place).map_err(wrong)?, port)
            }
        };
        let port = match port.strip_prefix(':') {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                let port = digits.parse().ok().filter(|port| *port != 0);
                Some(port.ok_or_else(|| wrong("a port is a number from 1 to 65535"))?)
            }
            Some(_) => return Err(wrong("a port is a number, and an address of IPv6 with one stands in brackets")),
            None if port.is_empty() => None,
            None => return Err(wrong("nothing but a port may follow the brackets")),
        };
        Ok(Self { place, port })
    }

    fn on(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }

    fn is_network(&self) -> bool {
        matches!(self.place, Place::Network(_))
    }

    /// Whether the rule is about hosts, and `host` is one of them.
    fn names(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.');
        self.on(port)
            && match &self.place {
                Place::Any => true,
                Place::Name(name) => host.eq_ignore_ascii_case(name),
                Place::Below(suffix) => host
                    .len()
                    .checked_sub(suffix.len())
                    .and_then(|at| host.get(at..))
                    .is_some_and(|end| end.len() < host.len() && end.eq_ignore_ascii_case(suffix)),
                Place::Network(_) => false,
            }
    }

    /// Whether the rule is about addresses, and `ip` is one of them.
    fn covers(&self, ip: IpAddr, port: u16) -> bool {
        match &self.place {
            Place::Network(network) => self.on(port) && network.contains(ip),
            Place::Any | Place::Name(_) | Place::Below(_) => false,
        }
    }
}

impl Place {
    /// A place without its port.
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some(network) = Network::parse(text) {
            return Ok(Self::Network(network));
        }
        let (below, name) = text.strip_prefix("*.").map_or((false, text), |name| (true, name));
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.split('.').any(|label| label.is_empty() || label.len() > 63 || !label.bytes().all(letter)) {
            return Err("no host name, *.name, address or network");
        }
        // Such a name would be taken for an address by everyone who looks it up, and the rule would never match one.
        let last = name.rsplit('.').next().unwrap_or_default();
        let hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if hex || last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("an address of IPv4 has four decimal numbers");
        }
        Ok(if below { Self::Below(format!(".{name}")) } else { Self::Name(name) })
    }
}

/// An address, and those of IPv4 that it may stand for.
fn forms(ip: IpAddr) -> Vec<IpAddr> {
    let mut forms = vec![ip];
    if let IpAddr::V6(v6) = ip {
        forms.extend(stands_for(v6).into_iter().map(IpAddr::V4));
    }
    forms
}

fn stands_for(v6: Ipv6Addr) -> Vec<Ipv4Addr> {
    let bits = v6.to_bits();
    // 32 bits from `at` on, without the eight from bit 64 on that RFC 6052 §2.2 leaves out.
    let spread = |at: u32| {
        let joined = (bits >> 64 << 64) | (bits << 72 >> 64);
        // The cast keeps the 32 bits that are wanted.
        Ipv4Addr::from_bits((joined << at >> 96) as u32)
    };
    let at = |at: u32| Ipv4Addr::from_bits((bits << at >> 96) as u32);
    match v6.segments() {
        // IPv4-compatible (RFC 4291 §2.5.5.1) and IPv4-translated (RFC 2765 §2.1).
        [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => vec![at(96)],
        // NAT64 (RFC 6052 §2.1).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => vec![at(96)],
        // NAT64 for local use (RFC 8215), where each network chooses how long the prefix is.
        [0x64, 0xff9b, 1, ..] => vec![spread(48), spread(56), spread(64), at(96)],
        // 6to4 (RFC 3056 §2).
        [0x2002, ..] => vec![at(16)],
        // Teredo: its server, and the client with its bits inverted (RFC 4380 §4).
        [0x2001, 0, ..] => vec![at(32), Ipv4Addr::from_bits(!at(96).to_bits())],
        _ => Vec::new(),
    }
}

/// Whether an address is one of the public internet.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => !NOT_PUBLIC_V4.iter().any(|network| network.contains(ip)),
        IpAddr::V6(v6) => {
            let nat64 = v6.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
            (nat64 || GLOBAL_UNICAST.contains(ip))
                && !NOT_PUBLIC_V6.iter().any(|network| network.contains(ip))
                && stands_for(v6).into_iter().all(|v4| is_public(IpAddr::V4(v4)))
        }
    }
}

/// What IANA's registry of special-purpose addresses (RFC 6890) does not call globally reachable, multicast, and one address
/// more.
const NOT_PUBLIC_V4: [Network; 17] = [
    // "This network"; the first one means the own host.
    Network::v4([0, 0, 0, 0], 8),
    // Private (RFC 1918).
    Network::v4([10, 0, 0, 0], 8),
    Network::v4([172, 16, 0, 0], 12),
    Network::v4([192, 168, 0, 0], 16),
    // Shared between a provider and its customers (RFC 6598).
    Network::v4([100, 64, 0, 0], 10),
    // Loopback.
    Network::v4([127, 0, 0, 0], 8),
    // Link-local, with the metadata of most clouds at 169.254.169.254.
    Network::v4([169, 254, 0, 0], 16),
    // Protocol assignments (RFC 6890 §2.1).
    Network::v4([192, 0, 0, 0], 24),
    // Documentation (RFC 5737).
    Network::v4([192, 0, 2, 0], 24),
    Network::v4([198, 51, 100, 0], 24),
    Network::v4([203, 0, 113, 0], 24),
    // Relays of 6to4, which nobody may use any more (RFC 7526).
    Network::v4([192, 88, 99, 0], 24),
    // Benchmarks (RFC 2544).
    Network::v4([198, 18, 0, 0], 15),
    // Multicast (RFC 5771).
    Network::v4([224, 0, 0, 0], 4),
    // Reserved (RFC 1112 §4), and broadcast.
    Network::v4([240, 0, 0, 0], 4),
    Network::v4([255, 255, 255, 255], 32),
    // Looks public, and gives a machine on Azure its secrets.
    Network::v4([168, 63, 129, 16], 32),
];

/// All that IANA has opened for global unicast. Loopback, unspecified, unique local, link-local, site-local and multicast
/// addresses are outside.
const GLOBAL_UNICAST: Network = Network::v6(0x2000, 0, 3);

/// What is not for the public internet within that.
const NOT_PUBLIC_V6: [Network; 3] = [
    // Protocol assignments (RFC 2928), with Teredo, benchmarks and ORCHID.
    Network::v6(0x2001, 0, 23),
    // Documentation (RFC 3849, RFC 9637).
    Network::v6(0x2001, 0xdb8, 32),
    Network::v6(0x3fff, 0, 20),
];

#[cfg(test)]
mod tests;
