//! A range of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range of addresses that share their first bits. A single address is one with all of its bits.
///
/// IPv4 addresses in IPv6 (`::ffff:0:0/96`) are those of IPv4: a socket makes no difference between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Network {
    first: IpAddr,
    bits: u8,
}

impl Network {
    /// The network `address/bits` of IPv4.
    pub(crate) const fn v4(address: [u8; 4], bits: u8) -> Self {
        let [a, b, c, d] = address;
        Self { first: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits }
    }

    /// The network of IPv6 whose first two groups are `high` and `low`.
    pub(crate) const fn v6(high: u16, low: u16, bits: u8) -> Self {
        Self { first: IpAddr::V6(Ipv6Addr::new(high, low, 0, 0, 0, 0, 0, 0)), bits }
    }

    /// What `text` names: an address, or an address and a number of bits behind a slash. Bits beyond those do not matter.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) if !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                (address.parse().ok()?, Some(bits.parse::<u8>().ok()?))
            }
            Some(_) => return None,
            None => (text.parse().ok()?, None),
        };
        let (first, all, bits) = match address {
            IpAddr::V4(_) => (address, 32, bits),
            IpAddr::V6(v6) => match (v6.to_ipv4_mapped(), bits) {
                (Some(v4), None) => (IpAddr::V4(v4), 32, None),
                (Some(v4), Some(bits)) if bits >= 96 => (IpAddr::V4(v4), 32, Some(bits - 96)),
                _ => (address, 128, bits),
            },
        };
        let bits = bits.unwrap_or(all);
        (bits <= all).then(|| Self { first: masked(first, bits), bits })
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && masked(address, self.bits) == self.first
    }
}

/// The first `bits` of an address, and zeros behind them.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & !u32::MAX.checked_shr(bits).unwrap_or(0)).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::MAX.checked_shr(bits).unwrap_or(0)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        Network::parse(network).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_holds_what_shares_its_first_bits() {
        for (network, within, without) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3/8", "10.255.0.1", "9.255.255.255"),
            ("192.168.0.4/30", "192.168.0.7", "192.168.0.8"),
            ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "::1", "1.2.3.4"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::1", "::1", "::2"),
            ("fe80::/10", "febf::", "fec0::"),
        ] {
            assert!(contains(network, within), "{network} {within}");
            assert!(!contains(network, without), "{network} {without}");
        }
    }

    #[test]
    fn mapped_addresses_are_those_of_ipv4() {
        assert!(contains("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(contains("::ffff:10.0.0.0/104", "10.0.0.1"));
        assert!(!contains("::ffff:10.0.0.0/104", "11.0.0.1"));
        assert!(contains("::ffff:10.0.0.1", "10.0.0.1"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in
            ["", "a.test", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/+8", "10.0.0/8", "010.0.0.1", "[::1]"]
        {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
