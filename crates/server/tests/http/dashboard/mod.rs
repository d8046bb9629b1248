//! The dashboard as browsers meet it: cookies, forms, pages.

mod account;
mod browser;
mod campaigns;
mod chats;
mod contacts;
mod figures;
mod isolation;
mod keys;
mod lists;
mod login;
mod matrix;
mod once;
mod phones;
mod plans;
mod sessions;
mod users;

pub use browser::Browser;
