//! The overview: figures, charts, and health that keeps itself up to date.

use super::Browser;
use crate::world::World;
use reqwest::Method;

#[tokio::test]
async fn an_admin_sees_everything_of_today() {
    let world = World::start().await;
    let browser = Browser::admin(&world).await;
    let page = browser.open("/admin/").await.is(200);
    let page = page.says(&[
        "Users",
        "Connected accounts",
        "API requests today",
        "Success rate",
        "The last 7 days: 0",
        "The last 24 hours",
        "database",
    ]);
    page.says(&["<h3>Messages</h3>", "<h3>API requests</h3>", "<h3>Latency of the API</h3>", "data-live=\"/admin/health/live/\""]);
    browser.open("/admin/?by=day").await.is(200).says(&["The last 30 days"]);
}

#[tokio::test]
async fn health_is_sent_as_a_part_of_the_page() {
    let world = World::start().await;
    let browser = Browser::admin(&world).await;
    let cookie = format!("sanasend={}", browser.cookie("sanasend").expect("a cookie"));
    let stream = world.request(Method::GET, "/admin/health/live/").header("cookie", cookie).header("accept", "text/event-stream");
    let mut stream = stream.send().await.expect("a stream");
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    assert_eq!(stream.headers()["x-accel-buffering"], "no", "no proxy collects it");
    let first = stream.chunk().await.expect("sound").expect("a part");
    let first = String::from_utf8_lossy(&first).into_owned();
    assert!(first.starts_with("event: part\ndata: <p class=\"lead badges\">") && first.contains("database"), "{first}");
    let stranger = world.request(Method::GET, "/admin/health/live/").header("accept", "text/event-stream");
    assert_eq!(stranger.send().await.expect("an answer").status(), 401);
}
