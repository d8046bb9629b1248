//! A browser without scripts: it keeps cookies, sends forms from the pages of the server, and follows nothing by itself.

use crate::world::{ADMIN, PASSWORD, World};
use reqwest::Method;
use reqwest::header::HeaderMap;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// One person's browser.
pub struct Browser<'w> {
    pub world: &'w World,
    cookies: Mutex<BTreeMap<String, String>>,
}

/// A page, read to its end.
#[derive(Debug)]
pub struct Shown {
    pub status: u16,
    pub headers: HeaderMap,
    pub html: String,
}

impl Shown {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// Puts another id in the place of one, in the page and in where it leads.
    pub fn rename(&mut self, id: &str, other: &str) {
        self.html = self.html.replace(id, other);
        if let Some(place) = self.headers.get_mut("location")
            && let Ok(text) = place.to_str()
        {
            *place = text.replace(id, other).parse().expect("a header");
        }
    }

    /// Checks that it is a page with this status.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.html);
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8", "{}", self.html);
        self
    }

    /// Checks that these words are on it.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.html.contains(word), "{word:?} is missing in {}", self.html);
        }
        self
    }

    /// Checks that these words are not on it.
    #[track_caller]
    pub fn hides(self, words: &[&str]) -> Self {
        for word in words {
            assert!(!self.html.contains(word), "{word:?} is in {}", self.html);
        }
        self
    }

    /// Checks that it leads elsewhere.
    #[track_caller]
    pub fn leads_to(self, path: &str) -> Self {
        assert_eq!((self.status, self.header("location")), (303, path), "{}", self.html);
        self
    }
}

impl<'w> Browser<'w> {
    pub fn new(world: &'w World) -> Self {
        Self { world, cookies: Mutex::default() }
    }

    /// A browser in which the admin is logged in.
    pub async fn admin(world: &'w World) -> Self {
        Self::of(world, ADMIN).await
    }

    /// A browser in which a user with [`PASSWORD`] is logged in.
    pub async fn of(world: &'w World, username: &str) -> Self {
        let browser = Self::new(world);
        browser.send("/admin/login/", &[("username", username), ("password", PASSWORD)]).await.leads_to("/admin/");
        browser
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().expect("cookies").get(name).cloned()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.lock().expect("cookies").insert(name.into(), value.into());
    }

    /// Opens a page.
    pub async fn open(&self, path: &str) -> Shown {
        self.ask(self.world.request(Method::GET, path)).await
    }

    /// Sends a form from a page of the server.
    pub async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Shown {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.world.request(Method::POST, path).header("sec-fetch-site", "same-origin");
        self.ask(request.header("content-type", "application/x-www-form-urlencoded").body(body)).await
    }

    /// Sends a request as it is, with the cookies, and keeps those of the answer.
    pub async fn ask(&self, request: reqwest::RequestBuilder) -> Shown {
        let sent = self.cookies.lock().expect("cookies").iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        let request = request.header("accept", "text/html,*/*").header("cookie", sent.join("; "));
        let response = request.send().await.expect("an answer");
        for line in response.headers().get_all("set-cookie") {
            let line = line.to_str().expect("text");
            let (name, value) = line.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie");
            let mut cookies = self.cookies.lock().expect("cookies");
            if line.contains("Max-Age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.into(), value.into());
            }
        }
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Shown { status, headers, html: response.text().await.expect("a body") }
    }
}
