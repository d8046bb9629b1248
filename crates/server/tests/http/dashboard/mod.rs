//! The dashboard as browsers meet it: cookies, forms, pages.

mod account;
mod browser;
mod campaigns;
mod contacts;
mod figures;
mod keys;
mod login;
mod matrix;
mod plans;
mod users;

pub use browser::Browser;
