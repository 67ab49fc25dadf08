"""Who may use a port with an access list: the decision, without sockets."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbox_init.config.acl import (
    MOST_HOPS,
    AccessList,
    BadEntryError,
    bad_entries,
    parse_address,
    parse_network,
)
from cbox_init.config.model import AclConfig, AclMode

ALLOW = AclConfig(enabled=True, allow_list=("10.0.0.0/8", "192.0.2.1"), deny_list=("10.6.6.0/24",))
DENY = AclConfig(enabled=True, mode=AclMode.DENY, deny_list=("10.0.0.0/8", "2001:db8::/32"))
PROXY = AclConfig(enabled=True, allow_list=("10.0.0.0/8",), deny_list=("10.6.6.6",), trust_proxy=True)
OURS = AclConfig(enabled=True, allow_list=("198.51.100.0/24",), trusted_proxies=("10.0.0.0/8", "fd00::/8"))


@pytest.mark.parametrize(
    ("acl", "peer", "forwarded", "client"),
    [
        # client: of an allowed request; None for one that is refused
        (ALLOW, "10.0.0.1", [], "10.0.0.1"),
        (ALLOW, "10.255.255.255", [], "10.255.255.255"),
        (ALLOW, "11.0.0.0", [], None),
        (ALLOW, "9.255.255.255", [], None),
        (ALLOW, "192.0.2.1", [], "192.0.2.1"),
        (ALLOW, "192.0.2.2", [], None),
        (ALLOW, "10.6.6.1", [], None),  # in both: deny wins
        (ALLOW, "::ffff:10.0.0.1", [], "10.0.0.1"),
        (ALLOW, "::ffff:10.6.6.1", [], None),
        (ALLOW, "::10.0.0.1", [], None),  # not a mapped address
        (ALLOW, "::1", [], None),
        (ALLOW, "", [], None),
        (ALLOW, "nonsense", [], None),
        (AclConfig(enabled=True), "127.0.0.1", [], None),
        (AclConfig(enabled=True, mode=AclMode.DENY), "127.0.0.1", [], "127.0.0.1"),
        (AclConfig(enabled=True, allow_list=("0.0.0.0/0",)), "8.8.8.8", [], "8.8.8.8"),
        (AclConfig(enabled=True, allow_list=("0.0.0.0/0",)), "2001:db8::1", [], None),
        (AclConfig(enabled=True, allow_list=("::/0",)), "2001:db8::1", [], "2001:db8::1"),
        (AclConfig(enabled=True, allow_list=("::/0",)), "::ffff:8.8.8.8", [], None),
        (AclConfig(enabled=True, allow_list=("::ffff:10.0.0.0/104",)), "10.1.2.3", [], "10.1.2.3"),
        (AclConfig(enabled=True, allow_list=("fe80::/10",)), "fe80::1%eth0", [], "fe80::1"),
        (DENY, "10.0.0.1", [], None),
        (DENY, "::ffff:10.0.0.1", [], None),
        (DENY, "11.0.0.1", [], "11.0.0.1"),
        (DENY, "2001:db8:ffff::1", [], None),
        (DENY, "2001:db9::1", [], "2001:db9::1"),
        (DENY, "nonsense", [], None),
        # without trust the header means nothing
        (ALLOW, "10.0.0.1", ["8.8.8.8"], "10.0.0.1"),
        (ALLOW, "8.8.8.8", ["10.0.0.1"], None),
        (DENY, "11.0.0.1", ["10.0.0.1"], "11.0.0.1"),
        # trust_proxy: the next hop counts when the allow list has it
        (PROXY, "8.8.8.8", ["10.0.0.1"], None),
        (PROXY, "10.0.0.1", ["8.8.8.8"], None),
        (PROXY, "10.0.0.1", ["10.0.0.2"], "10.0.0.2"),
        (PROXY, "10.0.0.1", ["8.8.8.8, 10.0.0.2"], None),
        (PROXY, "10.0.0.1", ["8.8.8.8", "10.0.0.2"], None),  # two headers are one list
        (PROXY, "10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        (PROXY, "10.0.0.1", ["10.0.0.3, 8.8.8.8"], None),  # what a client has made up is not reached
        (PROXY, "10.0.0.1", [], "10.0.0.1"),
        (PROXY, "10.0.0.1", ["", " , "], "10.0.0.1"),
        (PROXY, "10.0.0.1", ["10.0.0.2" + "," * 60_000], None),
        (PROXY, "10.0.0.1", ["10.0.0.2:x"], None),
        (PROXY, "10.0.0.1", ["[10.0.0.2]x"], None),
        (PROXY, "10.0.0.1", ["10.0.0.2:80, " + "," * 100], None),
        (PROXY, "10.0.0.1", ["unknown"], None),
        (PROXY, "10.0.0.1", ["10.0.0.2, \xff"], None),
        (PROXY, "10.0.0.1", ["10.0.0.2\0"], None),
        (PROXY, "10.6.6.6", ["10.0.0.2"], None),
        (PROXY, "10.0.0.1", ["10.0.0.2, 10.6.6.6"], None),
        # trusted_proxies: they need not be in the allow list, and no others are trusted
        (OURS, "10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        (OURS, "::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        (OURS, "fd00::1", ["198.51.100.7:4711"], "198.51.100.7"),
        (OURS, "fd00::1", ["198.51.100.7, [fd00::2]:80, [fd00::3]"], "198.51.100.7"),
        (OURS, "10.0.0.1", [], None),
        (OURS, "10.0.0.1", ["203.0.113.1, 198.51.100.7"], "198.51.100.7"),
        (OURS, "198.51.100.7", ["203.0.113.1"], "198.51.100.7"),
        (OURS, "203.0.113.1", ["198.51.100.7"], None),
        (OURS, "10.0.0.1", ["198.51.100.7" + ", 10.0.0.2" * (MOST_HOPS - 2)], "198.51.100.7"),
        (OURS, "10.0.0.1", ["198.51.100.7" + ", 10.0.0.2" * (MOST_HOPS - 1)], None),
    ],
)
def test_decisions(acl: AclConfig, peer: str, forwarded: list[str], client: str | None) -> None:
    decision = AccessList(acl).decide(peer, forwarded)
    assert decision.allowed == (client is not None)
    if client is not None:
        assert str(decision.client) == client


@pytest.mark.parametrize(
    ("entry", "message", "hint"),
    [
        ("everyone", "'everyone' is not an address or CIDR", "10.0.0.0/8"),
        ("10.0.0.0/33", "a number from 0 to 32", "10.0.0.0/8"),
        ("10.0.0.0/", "a number from 0 to 32", "10.0.0.0/8"),
        ("10.0.0.0/-1", "a number from 0 to 32", "10.0.0.0/8"),
        ("10.0.0.0/255.0.0.0", "a number from 0 to 32", "10.0.0.0/8"),
        ("10.0.0.0/8/8", "a number from 0 to 32", "10.0.0.0/8"),
        ("2001:db8::/129", "a number from 0 to 128", "10.0.0.0/8"),
        ("10.0.0.5/8", "has bits set behind its prefix", "write 10.0.0.0/8 for the network, or 10.0.0.5"),
        ("2001:db8::1/32", "has bits set behind its prefix", "write 2001:db8::/32"),
        ("::ffff:10.0.0.5/104", "has bits set behind its prefix", "write 10.0.0.0/8"),
        ("::ffff:0.0.0.0/90", "is wider than all addresses of IPv4", "0.0.0.0/0"),
        ("fe80::1%eth0", "has a zone", "without %"),
        ("fe80::%eth0/10", "has a zone", "without %"),
        ("010.0.0.1", "is not an address or CIDR", "10.0.0.5"),
        ("10.1", "is not an address or CIDR", "10.0.0.5"),
        ("[::1]", "is not an address or CIDR", "2001:db8::1"),
        ("::1::", "is not an address or CIDR", "2001:db8::1"),
        ("localhost", "is not an address or CIDR", "10.0.0.5"),
        ("", "is not an address or CIDR", "10.0.0.5"),
        ("10.0.0.1\0", "is not an address or CIDR", "10.0.0.5"),
        ("\u0661.1.1.1", "is not an address or CIDR", "10.0.0.5"),
        ("10.0.0.0/\u0668", "a number from 0 to 32", "10.0.0.0/8"),
        ("10.0.0.0/" + "9" * 5000, "a number from 0 to 32", "10.0.0.0/8"),
    ],
)
def test_entries_that_cannot_be_read(entry: str, message: str, hint: str) -> None:
    with pytest.raises(BadEntryError) as caught:
        parse_network(entry)
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_a_bad_entry_of_any_list_makes_no_list() -> None:
    for key in ("allow_list", "deny_list", "trusted_proxies"):
        acl = AclConfig(**{key: ("10.0.0.1", "x")})  # type: ignore[arg-type]
        assert [(error.key, error.index) for error in bad_entries(acl)] == [(key, 1)]
        with pytest.raises(BadEntryError):
            AccessList(acl)


_any_address = st.ip_addresses()
_networks = st.builds(
    lambda address, prefix: ipaddress.ip_network((address, prefix % (address.max_prefixlen + 1)), False),
    _any_address,
    st.integers(0, 128),
)
_near = st.builds(
    lambda network, offset: network[offset % network.num_addresses], _networks, st.integers(0, 2**128)
)


@given(_any_address)
def test_addresses_are_those_of_the_standard_library(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    mapped = getattr(address, "ipv4_mapped", None) or address
    assert ipaddress.ip_address(str(parse_address(str(address)))) == mapped


MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


@given(_networks, _any_address | _near)
def test_a_network_holds_what_the_standard_library_says(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if isinstance(network, ipaddress.IPv6Network) and (
        network.supernet_of(MAPPED) or network.subnet_of(MAPPED)
    ):
        return  # see the table
    unmapped = getattr(address, "ipv4_mapped", None) or address
    assert (parse_address(str(address)) in parse_network(str(network))) == (unmapped in network)


@given(st.text(max_size=20) | st.from_regex(r"[0-9a-f:./%]{0,20}"))
def test_any_text_is_an_entry_or_a_problem(text: str) -> None:
    try:
        network = parse_network(text)
    except BadEntryError as error:
        assert str(error)
        assert error.hint
        return
    assert parse_network(str(network)) == network
    assert network.base in network


@given(
    st.sampled_from(list(AclMode)),
    st.lists(_networks.map(str), max_size=3),
    st.lists(_networks.map(str), max_size=3),
    _any_address.map(str),
    st.lists(_any_address.map(str) | st.text(max_size=9), max_size=3),
)
def test_without_trust_only_the_peer_counts_and_deny_wins(
    mode: AclMode, allow: list[str], deny: list[str], peer: str, forwarded: list[str]
) -> None:
    acl = AclConfig(enabled=True, mode=mode, allow_list=tuple(allow), deny_list=tuple(deny))
    if next(bad_entries(acl), None):
        return  # wider than all mapped addresses
    decision = AccessList(acl).decide(peer, forwarded)
    address = parse_address(peer)
    assert decision.client == address
    assert decision.allowed == (
        not any(address in parse_network(one) for one in deny)
        and (mode is AclMode.DENY or any(address in parse_network(one) for one in allow))
    )
