//! The guard, tried against real sockets of this machine, a table of spellings, and properties over all addresses.

use super::address::is_public;
use super::*;
use futures::TryStreamExt;
use proptest::prelude::*;
use reqwest::header::HeaderMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(20);
const LIMITS: FetchLimits = FetchLimits { max_bytes: 1000, timeout: PATIENCE, redirects: 2 };

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().expect("a network")).collect()
}

fn public_only() -> Egress {
    Egress::new(Vec::new()).expect("a way out")
}

fn with_loopback() -> Egress {
    Egress::new(nets(&["127.0.0.1/32"])).expect("a way out")
}

#[test]
fn what_is_not_public_is_refused_in_every_spelling() {
    use EgressRefusal::{NotAUrl, NotPublic, Port, Scheme, Userinfo};
    let egress = public_only();
    let refused = [
        ("http://127.0.0.1/", NotPublic),
        ("http://127.0.0.1./", NotPublic),
        ("http://127.1/", NotPublic),
        ("http://127.0.1/", NotPublic),
        ("http://2130706433/", NotPublic),
        ("http://0x7f000001/", NotPublic),
        ("http://0x7f.0.0.1/", NotPublic),
        ("http://0177.0.0.1/", NotPublic),
        ("http://017700000001/", NotPublic),
        ("http://0300.0250.0.1/", NotPublic),
        ("http://%31%32%37.0.0.1/", NotPublic),
        ("http://１２７.０.０.１/", NotPublic),
        ("http://127。0。0。1/", NotPublic),
        ("http://①27.0.0.1/", NotPublic),
        ("http://0/", NotPublic),
        ("http://0.0.0.0/", NotPublic),
        ("http://10.0.0.1:8080/x", NotPublic),
        ("http://100.64.0.1/", NotPublic),
        ("http://169.254.169.254/latest/meta-data/", NotPublic),
        ("http://172.16.0.1/", NotPublic),
        ("http://192.168.1.1/", NotPublic),
        ("http://198.18.0.1/", NotPublic),
        ("http://224.0.0.1/", NotPublic),
        ("http://255.255.255.255/", NotPublic),
        ("http://[::]/", NotPublic),
        ("http://[::1]/", NotPublic),
        ("http://[0:0:0:0:0:0:0:1]/", NotPublic),
        ("http://[::ffff:127.0.0.1]/", NotPublic),
        ("http://[::ffff:7f00:1]/", NotPublic),
        ("http://[::ffff:8.8.8.8]/", NotPublic),
        ("http://[::127.0.0.1]/", NotPublic),
        ("http://[64:ff9b::7f00:1]/", NotPublic),
        ("http://[64:ff9b::808:808]/", NotPublic),
        ("http://[64:ff9b:1::1]/", NotPublic),
        ("http://[2002:7f00:1::]/", NotPublic),
        ("http://[2001::1]/", NotPublic),
        ("http://[2001:db8::1]/", NotPublic),
        ("http://[fc00::1]/", NotPublic),
        ("http://[fd00:ec2::254]/", NotPublic),
        ("http://[fe80::1]/", NotPublic),
        ("http://[ff02::1]/", NotPublic),
        ("http://localhost/", NotPublic),
        ("http://LOCALHOST./", NotPublic),
        ("http://db.localhost/", NotPublic),
        ("http://[fe80::1%25eth0]/", NotAUrl),
        ("http://256.1.1.1/", NotAUrl),
        ("http://1.2.3.4.5/", NotAUrl),
        ("http://", NotAUrl),
        ("//example.com/", NotAUrl),
        ("example.com/hook", NotAUrl),
        ("", NotAUrl),
        ("ftp://example.com/", Scheme),
        ("file:///etc/passwd", Scheme),
        ("gopher://example.com/", Scheme),
        ("javascript:alert(1)", Scheme),
        ("https://user@example.com/", Userinfo),
        ("https://:secret@example.com/", Userinfo),
        ("http://example.com@127.0.0.1/", Userinfo),
        ("http://example.com:0/", Port),
        ("http://example.com:25/", Port),
        ("http://example.com:6379/", Port),
    ];
    for (url, why) in refused {
        assert_eq!(egress.check(url), Err(why), "{url}");
    }
    assert_eq!(egress.check(&format!("https://example.com/{}", "x".repeat(2048))), Err(EgressRefusal::TooLong));
}

#[test]
fn what_is_public_passes_and_keeps_its_shape() {
    let egress = public_only();
    for (url, kept) in [
        ("https://example.com", "https://example.com/"),
        (" https://example.com/hook?x=1#part ", "https://example.com/hook?x=1"),
        ("HTTP://EXAMPLE.com:8443/", "http://example.com:8443/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://0x08080808/", "https://8.8.8.8/"),
        ("https://[2606:4700:4700::1111]/", "https://[2606:4700:4700::1111]/"),
        ("https://bäckerei.example/", "https://xn--bckerei-5wa.example/"),
        ("https://localhost.example.com/", "https://localhost.example.com/"),
        ("https://127.0.0.1.example.com/", "https://127.0.0.1.example.com/"),
    ] {
        assert_eq!(egress.check(url).map(String::from), Ok(kept.to_owned()), "{url}");
    }
}

#[test]
fn the_operators_exceptions_open_what_they_name_and_no_more() {
    let egress = Egress::new(nets(&["127.0.0.1/32", "10.1.0.0/16", "fd00::/8", "64:ff9b::/96"])).expect("a way out");
    for url in ["http://127.0.0.1:3000/", "http://2130706433/", "http://localhost/", "http://10.1.2.3/", "http://[fd00::1]/"] {
        assert!(egress.check(url).is_ok(), "{url}");
    }
    assert!(egress.check("http://[64:ff9b::808:808]/").is_ok(), "a public address behind an allowed NAT64");
    assert!(egress.check("http://[64:ff9b::a01:203]/").is_ok(), "an allowed address behind an allowed NAT64");
    for url in ["http://127.0.0.2/", "http://10.2.0.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::a02:1]/"] {
        assert_eq!(egress.check(url), Err(EgressRefusal::NotPublic), "{url}");
    }
}

fn private_v4() -> impl Strategy<Value = Ipv4Addr> {
    let blocks = [
        ("0.0.0.0", 8),
        ("10.0.0.0", 8),
        ("100.64.0.0", 10),
        ("127.0.0.0", 8),
        ("169.254.0.0", 16),
        ("172.16.0.0", 12),
        ("192.0.2.0", 24),
        ("192.168.0.0", 16),
        ("198.18.0.0", 15),
        ("224.0.0.0", 3),
    ];
    (proptest::sample::select(blocks.to_vec()), any::<u32>()).prop_map(|((base, prefix), host)| {
        let base = u32::from(base.parse::<Ipv4Addr>().expect("an address"));
        Ipv4Addr::from(base | (host >> prefix))
    })
}

proptest! {
    #[test]
    fn no_private_address_passes_however_it_is_wrapped(ip in private_v4()) {
        let [a, b, c, d] = ip.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let wrapped = [
            ip.to_ipv6_mapped(),
            Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2001, 0, high, low, 0, 0, !high, !low),
        ];
        prop_assert!(!is_public(ip.into()));
        for wrapped in wrapped {
            prop_assert!(!is_public(wrapped.into()), "{wrapped}");
        }
        let egress = public_only();
        let n = u32::from(ip);
        for host in [
            format!("{ip}"), format!("{ip}."), format!("{n}"), format!("0x{n:x}"), format!("0{n:o}"),
            format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"), format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"), format!("{a}.{b}.{}", u32::from(low)),
            format!("[{}]", ip.to_ipv6_mapped()), format!("[::{high:x}:{low:x}]"),
        ] {
            prop_assert_eq!(egress.check(&format!("http://{host}/")), Err(EgressRefusal::NotPublic), "{}", host);
        }
    }

    #[test]
    fn the_judgement_agrees_with_the_standard_library(bits in any::<u32>()) {
        let ip = Ipv4Addr::from(bits);
        let plain = ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_multicast() || ip.is_broadcast()
            || ip.is_documentation() || ip.is_unspecified();
        prop_assert!(!(plain && is_public(ip.into())), "{ip}");
    }

    #[test]
    fn of_ipv6_only_given_out_unicast_is_public(bits in any::<u128>()) {
        let ip = Ipv6Addr::from(bits);
        let outside = bits >> 125 != 1;
        prop_assert!(!(outside && is_public(ip.into())), "{ip}");
        let inside = Ipv6Addr::from((bits >> 3) | (1 << 125));
        let [first, second, ..] = inside.segments();
        if !(first == 0x2001 && (second < 0x200 || second == 0xdb8)) && first != 0x2002 && first != 0x2620 && first != 0x3fff {
            prop_assert!(is_public(inside.into()), "{inside}");
        }
    }
}

/// A host that answers each connection with the next of `answers`, and keeps what it was asked.
async fn host(answers: Vec<String>) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = asked.clone();
    tokio::spawn(async move {
        for answer in answers {
            let Ok((mut socket, _)) = listener.accept().await else { return };
            let mut request = vec![0; 4096];
            let length = socket.read(&mut request).await.unwrap_or(0);
            heard.lock().expect("not poisoned").push(String::from_utf8_lossy(&request[..length]).into_owned());
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    (port, asked)
}

fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

async fn read(fetched: Fetched) -> Result<Vec<u8>, EgressError> {
    fetched
        .body
        .try_fold(Vec::new(), async |mut all, chunk| {
            all.extend_from_slice(&chunk);
            Ok(all)
        })
        .await
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_before_anything_is_sent() {
    let (port, asked) = host(vec![answer("200 OK", "inside")]).await;
    let names = Names::by(|_| Box::pin(async { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST), "10.0.0.1".parse().expect("ip")]) }));
    let egress = Egress::resolving(Vec::new(), None, names).expect("a way out");
    let url = egress.check(&format!("http://innocent.example:{port}/")).expect("its name tells nothing");
    let refused = Err(EgressError::Refused(EgressRefusal::NotPublic));
    assert_eq!(egress.get(url.clone(), LIMITS).await.map(drop), refused);
    assert_eq!(egress.post(url, HeaderMap::new(), "x".into(), PATIENCE, 10).await.map(drop), refused);
    assert!(asked.lock().expect("not poisoned").is_empty());
}

#[tokio::test]
async fn what_was_judged_is_what_is_connected_to() {
    let (port, _asked) = host(vec![answer("200 OK", "here")]).await;
    let lookups = Arc::new(AtomicUsize::new(0));
    let counted = lookups.clone();
    // The first answer holds an allowed address among others; a second lookup would get a refused one.
    let names = Names::by(move |_| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        Box::pin(async move {
            Ok(if first {
                vec!["10.9.9.9".parse().expect("ip"), IpAddr::V4(Ipv4Addr::LOCALHOST)]
            } else {
                vec!["10.9.9.9".parse().expect("ip")]
            })
        })
    });
    let egress = Egress::resolving(nets(&["127.0.0.1/32"]), None, names).expect("a way out");
    let url = egress.check(&format!("http://changing.example:{port}/")).expect("sound");
    let fetched = egress.get(url, LIMITS).await.expect("an answer");
    assert_eq!(read(fetched).await.expect("a body"), b"here");
    assert_eq!(lookups.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn redirects_are_judged_one_by_one_and_counted() {
    let egress = with_loopback();
    let moved = |to: &str| answer(&format!("302 Found\r\nlocation: {to}"), "");
    let table = [
        (vec![moved("/next"), answer("200 OK", "there")], None),
        (vec![moved("http://10.0.0.1/")], Some(EgressError::Refused(EgressRefusal::NotPublic))),
        (vec![moved("//[::1]/")], Some(EgressError::Refused(EgressRefusal::NotPublic))),
        (vec![moved("http://0x0a000001/")], Some(EgressError::Refused(EgressRefusal::NotPublic))),
        (vec![moved("file:///etc/passwd")], Some(EgressError::Refused(EgressRefusal::Scheme))),
        (vec![moved("http://me:you@127.0.0.1/")], Some(EgressError::Refused(EgressRefusal::Userinfo))),
        (vec![moved("/a"), moved("/b"), moved("/c")], Some(EgressError::Redirects)),
        (vec![answer("302 Found", "")], Some(EgressError::Redirects)),
    ];
    for (answers, expected) in table {
        let (port, _asked) = host(answers.clone()).await;
        let url = egress.check(&format!("http://127.0.0.1:{port}/")).expect("allowed");
        let outcome = egress.get(url, LIMITS).await;
        assert_eq!(outcome.as_ref().err(), expected.as_ref(), "{answers:?}");
    }
}

#[tokio::test]
async fn a_post_follows_nothing_and_keeps_the_beginning() {
    let (port, asked) = host(vec![answer("307 Temporary Redirect\r\nlocation: http://10.0.0.1/", &"y".repeat(9000))]).await;
    let egress = with_loopback();
    let url = egress.check(&format!("http://127.0.0.1:{port}/hook")).expect("allowed");
    let posted = egress.post(url, HeaderMap::new(), "hello".into(), PATIENCE, 2048).await.expect("an answer");
    assert_eq!((posted.status.as_u16(), posted.body.len()), (307, 2048));
    let asked = asked.lock().expect("not poisoned").join("");
    assert!(asked.starts_with("POST /hook HTTP/1.1\r\n") && asked.ends_with("hello"), "{asked}");
}

#[tokio::test]
async fn too_much_too_slow_and_nobody_there_are_errors() {
    let egress = with_loopback();
    let endless = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_owned() + &"z".repeat(5000);
    let (port, _asked) = host(vec![answer("200 OK", &"z".repeat(1001)), endless]).await;
    let url = egress.check(&format!("http://127.0.0.1:{port}/")).expect("allowed");
    assert_eq!(egress.get(url.clone(), LIMITS).await.map(drop), Err(EgressError::TooLarge(1000)));
    let fetched = egress.get(url, LIMITS).await.expect("an answer without a length");
    assert_eq!(read(fetched).await, Err(EgressError::TooLarge(1000)));

    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = egress.check(&format!("http://{}/", silent.local_addr().expect("an address"))).expect("allowed");
    let short = Duration::from_millis(50);
    assert_eq!(egress.get(url.clone(), FetchLimits { timeout: short, ..LIMITS }).await.map(drop), Err(EgressError::Timeout));
    assert_eq!(egress.post(url.clone(), HeaderMap::new(), "".into(), short, 1).await.map(drop), Err(EgressError::Timeout));
    drop(silent);
    assert!(matches!(egress.get(url, LIMITS).await, Err(EgressError::Connect(why)) if !why.contains("127.0.0.1")));
}

#[test]
fn authorities_of_the_operators_own_must_be_certificates() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "nothing").expect("written");
    assert!(Egress::with_authorities(Vec::new(), Some(file.path())).is_err());
    assert!(Egress::with_authorities(Vec::new(), Some(Path::new("/nonexistent.pem"))).is_err());
}
