//! Name constraints that others wrote, and what they leave.

use std::net::Ipv4Addr;

use pki::{Certificate, Error, Limits, Permitted};
use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, GeneralSubtree, IsCa,
    KeyPair, NameConstraints,
};

fn dns(name: &str) -> GeneralSubtree {
    GeneralSubtree::DnsName(name.to_owned())
}

fn net(address: [u8; 4], prefix: u8) -> GeneralSubtree {
    GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix(address, prefix))
}

fn holes() -> GeneralSubtree {
    GeneralSubtree::IpAddress(CidrSubnet::V4([10, 0, 0, 0], [255, 0, 255, 0]))
}

fn authority(permitted: Vec<GeneralSubtree>, excluded: Vec<GeneralSubtree>) -> Certificate {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.name_constraints =
        Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded });
    let made = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap();
    Certificate::from_der(made.der()).unwrap()
}

/// What is left of `local` where a kind is free, and what was left out.
fn allowed(
    path: &[&Certificate],
    local: &[&str],
    more: &[&str],
) -> Result<(Vec<String>, Vec<String>), Error> {
    let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let local = Permitted::try_from(words(local)).unwrap();
    let allowed = Limits::of(path)?.allowed(local, &words(more))?;
    // It survives the ledger.
    let again = Permitted::try_from(allowed.permitted.entries()).unwrap();
    assert_eq!(again, allowed.permitted);
    Ok((allowed.permitted.entries(), allowed.left_out))
}

const LOCAL: [&str; 3] = ["10.0.0.0/8", "fd00::/8", "lan"];

#[test]
fn what_is_listed_holds_and_what_is_not_is_as_here() {
    for (permitted, excluded, left, out) in [
        (vec![], vec![], &LOCAL[..], &[][..]),
        (vec![dns("shop.example")], vec![], &["10.0.0.0/8", "fd00::/8", "shop.example"], &[]),
        (vec![dns(".Shop.example")], vec![], &["10.0.0.0/8", "fd00::/8", ".shop.example"], &[]),
        (vec![net([192, 168, 7, 9], 24)], vec![], &["192.168.7.0/24", "lan"], &[]),
        (vec![dns("")], vec![], &LOCAL, &[]),
        (vec![dns("a.b"), dns("*.c")], vec![], &["10.0.0.0/8", "fd00::/8", "a.b"], &["DNS:*.c"]),
        (vec![holes()], vec![], &["lan"], &["IP:#0a000000ff00ff00"]),
        (vec![GeneralSubtree::Rfc822Name("x@y".into())], vec![], &LOCAL, &[]),
        (vec![], vec![net([10, 0, 0, 0], 9)], &["10.128.0.0/9", "fd00::/8", "lan"], &[]),
        (vec![], vec![net([0; 4], 0)], &["fd00::/8", "lan"], &[]),
        (vec![dns("a.b"), dns("c")], vec![dns("b"), dns("x.d")], &["10.0.0.0/8", "fd00::/8", "c"], &[]),
        (vec![dns("a.b"), dns("c")], vec![dns(".x.c")], &["10.0.0.0/8", "fd00::/8", "a.b"], &["c"]),
    ] {
        let found = allowed(&[&authority(permitted, excluded)], &LOCAL, &[]).unwrap();
        assert_eq!(
            found,
            (left.iter().map(|s| (*s).to_owned()).collect(), out.iter().map(|s| (*s).to_owned()).collect())
        );
    }
}

#[test]
fn two_of_a_path_leave_what_is_in_both() {
    let root = authority(vec![net([10, 0, 0, 0], 8), dns("example"), dns("lan")], vec![]);
    let issuer =
        authority(vec![net([10, 1, 0, 0], 16), net([9; 4], 32), dns("shop.example"), dns("b")], vec![]);
    let found = allowed(&[&root, &issuer], &LOCAL, &[]).unwrap();
    assert_eq!(found, (vec!["10.1.0.0/16".to_owned(), "shop.example".to_owned()], vec![]));
}

#[test]
fn more_is_only_possible_where_the_certificate_allows_it() {
    let of = authority(vec![dns("example")], vec![net([81, 2, 3, 0], 24)]);
    let with = |more: &str| allowed(&[&of], &LOCAL, &[more]);
    assert!(with("81.2.4.0/24").unwrap().0.contains(&"81.2.4.0/24".to_owned()));
    assert!(with("81.2.0.0/16").unwrap().0.contains(&"81.2.2.0/24".to_owned()), "without what is excluded");
    assert_eq!(with("shop.example").unwrap().0, ["10.0.0.0/8", "fd00::/8", "example"]);
    for outside in ["81.2.3.4", "lan"] {
        assert_eq!(with(outside).unwrap_err(), Error::PermitOutside { text: outside.into() });
    }
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Shop");
    let directory = || GeneralSubtree::DirectoryName(name.clone());
    let many = (0..=200).map(|i| dns(&format!("a{i}"))).collect();
    for (permitted, excluded) in
        [(vec![directory()], vec![]), (vec![], vec![directory()]), (vec![], vec![holes()]), (many, vec![])]
    {
        let refused = Limits::of(&[&authority(permitted, excluded)]).unwrap_err();
        assert!(matches!(refused, Error::UnsupportedConstraint { .. }), "{refused}");
    }
    for excluded in [dns(""), dns("lan")] {
        let refused = allowed(&[&authority(vec![], vec![excluded])], &LOCAL, &[]).unwrap_err();
        assert_eq!(refused, Error::NoHostNameLeft);
    }
}

#[test]
fn below_a_dot_is_only_what_is_below() {
    let permitted = Permitted::try_from(vec![".shop.example".to_owned()]).unwrap();
    for (name, is) in [("cam.shop.example", true), ("shop.example", false), ("xshop.example", false)] {
        assert_eq!(permitted.allows(&name.parse().unwrap()), is, "{name}");
    }
    assert_eq!(permitted.host_name("cam").unwrap().to_string(), "DNS:cam.shop.example");
}

proptest! {
    #[test]
    fn an_address_is_left_if_it_is_permitted_and_not_excluded(
        permitted in prop::collection::vec((any::<[u8; 4]>(), 0..=32_u8), 1..4),
        excluded in prop::collection::vec((any::<[u8; 4]>(), 0..=32_u8), 0..4),
        other in any::<[u8; 4]>(), near in any::<(prop::sample::Index, u8)>(),
    ) {
        let subtrees = |nets: &[([u8; 4], u8)]| nets.iter().map(|(a, p)| net(*a, *p)).collect::<Vec<_>>();
        let of = authority(subtrees(&permitted), subtrees(&excluded));
        let left = Limits::of(&[&of]).unwrap().allowed(Permitted::local(None), &[]).unwrap().permitted;
        let holds = |nets: &[([u8; 4], u8)], ip: u32| nets.iter().any(|(a, p)| {
            let mask = u32::MAX.checked_shl(32 - u32::from(*p)).unwrap_or(0);
            u32::from_be_bytes(*a) & mask == ip & mask
        });
        // Also addresses beside the ends of a range, which one drawn blindly never meets.
        let all: Vec<_> = permitted.iter().chain(&excluded).collect();
        let (address, prefix) = all[near.0.index(all.len())];
        let step = 1_u32.checked_shl(32 - u32::from(*prefix)).unwrap_or(0);
        let base = u32::from_be_bytes(*address);
        for ip in [u32::from_be_bytes(other), base, base.wrapping_add(step), base.wrapping_add(u32::from(near.1))] {
            let expected = holds(&permitted, ip) && !holds(&excluded, ip);
            prop_assert_eq!(left.allows(&domain::AltName::Ip(Ipv4Addr::from(ip).into())), expected);
        }
    }
}
