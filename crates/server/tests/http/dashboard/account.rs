//! One's own account: the password.

use super::Browser;
use crate::world::{As, PASSWORD, World};

#[tokio::test]
async fn a_person_changes_their_password_and_stays_logged_in_here_only() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (_, token) = world.user(&admin, "anna").await;
    let (browser, other) = (Browser::of(&world, "anna").await, Browser::of(&world, "anna").await);
    let place = "/admin/account/password/";
    browser.open(place).await.is(200).says(&["Change your password"]);
    let form = |current: &'static str, new: &'static str, again: &'static str| {
        [("current_password", current), ("new_password", new), ("again", again)]
    };
    let fine = "another fine phrase";
    browser.send(place, &form(PASSWORD, fine, "something else")).await.is(400).says(&["id=\"again-error\""]).hides(&[fine]);
    browser.send(place, &form("wrong", fine, fine)).await.is(400).says(&["id=\"current_password-error\""]).hides(&[fine]);
    browser.send(place, &form(PASSWORD, "short", "short")).await.is(400).says(&["id=\"new_password-error\""]);
    browser.send(place, &form(PASSWORD, fine, fine)).await.leads_to("/admin/account/");
    browser.open("/admin/account/").await.is(200).says(&["Your password was changed."]);
    other.open("/admin/account/").await.leads_to("/admin/login/?next=%2Fadmin%2Faccount%2F");
    world.get("/auth/me/", As::Token(&token)).await.is(401, "INVALID_TOKEN");
    world.login("anna", fine).await;
}
