//! The pages for people: whole, from this server alone, under a strict policy. Chromium looks at them in interop.

use crate::contract::operations;
use crate::world::{Reply, World};
use reqwest::Method;

async fn get(world: &World, path: &str) -> Reply {
    Reply::read(world.request(Method::GET, path).send().await.expect("an answer")).await
}

/// What a page loads or links to.
fn links(html: &str) -> Vec<String> {
    let attributes = ["href=\"", "src=\""];
    let found = attributes.iter().flat_map(|attribute| html.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()));
    found.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_pages_load_only_what_this_server_has() {
    let world = World::start().await;
    for path in ["/", "/api/docs/", "/api/docs", "/api/redoc/", "/api/redoc"] {
        let page = get(&world, path).await;
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe-eval"), "{path}: {policy}");
        assert!(!policy.contains("script-src 'self' 'unsafe-inline'"), "{path}: {policy}");
        assert!(!page.text.contains("<script>") && !page.text.contains("://"), "{path}");
        for link in links(&page.text).into_iter().filter(|link| !link.starts_with("data:")) {
            let there = get(&world, &link).await;
            // The dashboard asks strangers to log in.
            let expected = if link == "/admin/" { 401 } else { 200 };
            assert!(there.status == expected && !there.text.is_empty(), "{path} -> {link}: {}", there.status);
            assert_eq!(there.header("x-content-type-options"), "nosniff", "{link}");
        }
    }
    for missing in ["/api/docs/index.html", "/api/docs/..%2f..%2fsanasend.db", "/api/redoc/nothing.js"] {
        get(&world, missing).await.is(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn the_pages_name_each_other() {
    let world = World::start().await;
    for (path, others) in [
        ("/", ["/api/docs/", "/api/redoc/", "/api/schema/", "/health/ready/"].as_slice()),
        ("/api/docs/", &["/", "/api/redoc/", "/api/schema/"]),
        ("/api/redoc/", &["/", "/api/docs/", "/api/schema/"]),
    ] {
        let links = links(&get(&world, path).await.text);
        for other in others {
            assert!(links.iter().any(|link| link == other), "{path} does not link to {other}");
        }
    }
}

#[test]
fn every_operation_has_a_description_and_examples() {
    for (method, path, operation) in operations() {
        let named = format!("{method} {path}");
        let said = operation["description"].as_str().unwrap_or_default();
        let made = ["An API key needs", "For admins, by login", "By login, not"];
        assert!(!said.is_empty() && !made.iter().any(|start| said.starts_with(start)), "{named} has no description of its own");
        let has_example = |content: &serde_json::Value| content.get("example").is_some() || content.get("examples").is_some();
        for (kind, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
            assert!(has_example(content), "{named}: the {kind} body has no example");
        }
        let answers = operation["responses"].as_object().expect("responses");
        assert!(answers.keys().any(|status| status.starts_with('2') || status == "101"), "{named}: no success is described");
        for (status, answer) in answers {
            let json = &answer["content"]["application/json"];
            assert!(json.is_null() || has_example(json), "{named}: the answer {status} has no example");
            assert!(answer["description"].as_str().is_some_and(|text| !text.is_empty()), "{named}: the answer {status} is not described");
        }
        assert!(answers.contains_key("429") && answers.contains_key("503"), "{named}: no limits");
        let public = operation["security"].as_array().is_some_and(|ways| ways.contains(&serde_json::json!({})));
        assert!(public || answers.contains_key("401"), "{named}: no 401");
    }
}
