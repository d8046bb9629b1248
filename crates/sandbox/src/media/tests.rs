//! A media host, spoken to in this process.

use super::*;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const ANA: &str = "12025550100";

struct World {
    folder: TempDir,
    host: MediaHost,
}

impl World {
    fn new() -> World {
        World::on(tempfile::tempdir().unwrap())
    }

    fn on(folder: TempDir) -> World {
        let state = State::open(&folder.path().join("state")).unwrap();
        let host = MediaHost::open(state, &folder.path().join("media"), Clock).unwrap();
        World { folder, host }
    }

    fn restarted(self) -> World {
        let World { folder, host } = self;
        host.0.state.close();
        drop(host);
        World::on(folder)
    }

    /// Status and body of one exchange; a broken line is status 0.
    fn ask(&self, method: &str, path: &str, range: Option<&str>, mut body: &[u8]) -> (u16, Vec<u8>) {
        let headers: Vec<_> = range.map(|range| ("Range".to_owned(), range.to_owned())).into_iter().collect();
        match self.host.exchange(method, path, &headers, &mut body) {
            Ok(mut answer) => {
                let mut out = Vec::new();
                let ended = answer.body.read_to_end(&mut out);
                (if ended.is_ok() { answer.status } else { 0 }, out)
            }
            Err(_) => (0, Vec::new()),
        }
    }

    fn upload_path(&self, bytes: &[u8]) -> String {
        let token = token(&Sha256::digest(bytes).into());
        format!("/mms/image/{token}?auth={}&token={token}", self.host.ticket(ANA))
    }

    /// Uploads; answers the direct path.
    fn upload(&self, bytes: &[u8]) -> String {
        let (status, answer) = self.ask("POST", &self.upload_path(bytes), None, bytes);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
        direct_path(&answer)
    }

    fn plant(&self, way: MediaWay, trouble: MediaTrouble) {
        self.host.plant(ANA, way, trouble, 1);
    }
}

fn direct_path(answer: &[u8]) -> String {
    let answer: serde_json::Value = serde_json::from_slice(answer).unwrap();
    answer["direct_path"].as_str().unwrap().to_owned()
}

fn resume_of(answer: &[u8]) -> String {
    let answer: serde_json::Value = serde_json::from_slice(answer).unwrap();
    answer["resume"].as_str().unwrap().to_owned()
}

#[test]
fn what_was_left_is_given_out_whole_and_in_parts_also_after_a_restart() {
    let world = World::new();
    let path = world.upload(b"0123456789");
    assert!(path.starts_with("/v/image/"), "{path}");
    let world = world.restarted();
    assert_eq!(world.ask("GET", &path, None, b""), (200, b"0123456789".to_vec()));
    assert_eq!(world.ask("GET", &path, Some("bytes=2-4"), b""), (206, b"234".to_vec()));
    assert_eq!(world.ask("GET", &path, Some("bytes=8-"), b""), (206, b"89".to_vec()));
    assert_eq!(world.ask("GET", &path, Some("bytes=10-"), b"").0, 416);
    assert_eq!(world.ask("HEAD", &path, None, b""), (200, Vec::new()));
    let by_hash = format!("/mms/image/{}", token(&Sha256::digest(b"0123456789").into()));
    assert_eq!(world.ask("GET", &by_hash, None, b"").0, 200);
}

#[test]
fn an_upload_needs_a_ticket_and_the_bytes_of_its_hash() {
    let world = World::new();
    let path = world.upload_path(b"bread");
    let (bare, _) = path.split_once('?').unwrap();
    assert_eq!(world.ask("POST", bare, None, b"bread").0, 401);
    assert_eq!(world.ask("POST", &format!("{bare}?auth={ANA}.0000"), None, b"bread").0, 401);
    assert_eq!(world.ask("POST", &path, None, b"butter").0, 400);
    assert_eq!(world.ask("DELETE", &path, None, b"").0, 405);
    assert_eq!(world.ask("GET", bare, None, b"").0, 404, "nothing of it was kept");
    let found = world.upload(b"bread");
    assert_eq!(world.ask("GET", &format!("{found}&auth=else"), None, b"").0, 401);
    assert_eq!(world.ask("GET", &format!("{found}?token={}", token(&[1; 32])), None, b"").0, 404);
}

#[test]
fn an_upload_that_broke_off_goes_on_where_it_was() {
    let world = World::new();
    let bytes = b"a film in two halves";
    let path = world.upload_path(bytes);
    assert_eq!(resume_of(&world.ask("POST", &format!("{path}&resume=1"), None, b"").1), "0");
    world.plant(MediaWay::Upload, MediaTrouble::Truncated);
    assert_eq!(world.ask("POST", &path, None, bytes).0, 0);
    assert_eq!(resume_of(&world.ask("POST", &format!("{path}&resume=1"), None, b"").1), "10");
    assert_eq!(world.ask("POST", &format!("{path}&file_offset=10"), None, &bytes[10..]).0, 200);
    let (_, answer) = world.ask("POST", &format!("{path}&resume=1"), None, b"");
    assert_eq!(resume_of(&answer), "complete");
    assert_eq!(world.ask("GET", &direct_path(&answer), None, b"").1, bytes);
    assert_eq!(world.ask("POST", &format!("{path}&file_offset=7"), None, b"x").0, 400);
}

#[test]
fn what_was_asked_to_go_wrong_goes_wrong_once() {
    let world = World::new();
    world.plant(MediaWay::Upload, MediaTrouble::Status(507));
    assert_eq!(world.ask("POST", &world.upload_path(b"bread"), None, b"bread").0, 507);
    let path = world.upload(b"bread");
    for (trouble, expected) in [
        (MediaTrouble::Status(503), (503, None)),
        (MediaTrouble::Truncated, (0, Some(&b"br"[..]))),
        (MediaTrouble::Corrupt, (200, Some(&b"br0ad"[..]))),
        (MediaTrouble::Slow(1_000), (200, Some(&b"bread"[..]))),
    ] {
        world.plant(MediaWay::Download, trouble);
        let (status, body) = world.ask("GET", &path, None, b"");
        assert_eq!(status, expected.0, "{trouble:?}");
        if let Some(bytes) = expected.1 {
            assert_eq!(body, bytes, "{trouble:?}");
        }
        assert_eq!(world.ask("GET", &path, None, b"").1, b"bread", "after {trouble:?}");
    }
    world.plant(MediaWay::Upload, MediaTrouble::Corrupt);
    let spoiled = world.upload(b"butter");
    assert_ne!(world.ask("GET", &spoiled, None, b"").1, b"butter");
}

#[test]
fn what_has_expired_stays_away_and_can_be_left_again() {
    let world = World::new();
    let first = world.upload(b"bread");
    world.host.expire(ANA, 410).unwrap();
    world.host.clear_faults();
    let world = world.restarted();
    assert_eq!(world.ask("GET", &first, None, b"").0, 410);
    assert_eq!(resume_of(&world.ask("POST", &format!("{}&resume=1", world.upload_path(b"bread")), None, b"").1), "0");
    let second = world.upload(b"bread");
    assert_ne!(first, second);
    assert_eq!(world.ask("GET", &second, None, b"").0, 200);
}
