//! Redis is killed, frozen and emptied under a server that counts its limits there: slower at most, never wrong.

use crate::redis_server::RedisServer;
use crate::world::{World, eventually, shown_once_in_order};
use sanasend::config::Hidden;

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_on_whatever_becomes_of_redis() {
    let mut redis = RedisServer::start().await;
    let world = World::start_with(|config| config.redis.url = Some(Hidden(redis.url()))).await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    let texts: Vec<String> = (0..30).map(|n| format!("text {n}")).collect();
    let (mut sent, mut slowest) = (Vec::new(), std::time::Duration::ZERO);
    for (n, text) in texts.iter().enumerate() {
        match n {
            5 => redis.flush().await,
            10 => redis.signal("STOP"),
            15 => redis.signal("CONT"),
            20 => {
                let port = redis.port();
                redis.kill();
                world.api().get("/auth/me/").await.expect(401);
                redis = RedisServer::start_on(port).await.expect("on the same port");
            }
            25 => redis.signal("STOP"),
            _ => {}
        }
        let begun = tokio::time::Instant::now();
        sent.push(shop.send_text(&friend, text).await);
        slowest = slowest.max(begun.elapsed());
    }
    for message in &sent {
        shop.message_becomes(message, "delivered").await;
    }
    shown_once_in_order(&texts, &friend.shows());
    assert!(slowest < std::time::Duration::from_secs(10), "nobody waits for Redis: {slowest:?}");
    drop(redis);
    eventually("the key works without Redis", async || (shop.api.get("/auth/me/").await.status == 200).then_some(())).await;
    world.stop().await;
}
