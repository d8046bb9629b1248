//! The navigation: which pages there are, for whom.

use super::parts::Icon;

/// One entry.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// What pages name as `here`.
    pub name: &'static str,
    /// What people read.
    pub label: &'static str,
    /// Where it leads.
    pub href: &'static str,
    /// The picture beside it.
    pub icon: Icon,
    /// For admins only.
    admins: bool,
    /// Only where the simulated network runs.
    sandbox: bool,
}

const fn entry(name: &'static str, label: &'static str, href: &'static str, icon: &'static str) -> Entry {
    Entry { name, label, href, icon: Icon(icon), admins: false, sandbox: false }
}

const fn for_admins(entry: Entry) -> Entry {
    Entry { admins: true, ..entry }
}

const fn in_sandbox(entry: Entry) -> Entry {
    Entry { sandbox: true, ..entry }
}

/// All entries in their order.
const ENTRIES: &[Entry] = &[
    entry("overview", "Overview", "/admin/", "chart"),
    for_admins(entry("users", "Users", "/admin/users/", "users")),
    entry("sessions", "Sessions", "/admin/sessions/", "phone"),
    entry("messages", "Messages", "/admin/messages/", "message"),
    entry("chats", "Chats", "/admin/chats/", "talk"),
    entry("campaigns", "Campaigns", "/admin/campaigns/", "horn"),
    entry("contacts", "Contacts", "/admin/contacts/", "book"),
    entry("scheduled", "Scheduled", "/admin/messages/scheduled/", "calendar"),
    entry("templates", "Templates", "/admin/templates/", "page"),
    entry("webhooks", "Webhooks", "/admin/webhooks/", "hook"),
    entry("requests", "API log", "/admin/requests/", "list"),
    entry("audit", "Audit log", "/admin/audit/", "shield"),
    for_admins(entry("jobs", "Jobs", "/admin/jobs/", "clock")),
    for_admins(entry("settings", "Settings", "/admin/settings/", "gear")),
    for_admins(in_sandbox(entry("phones", "Virtual phones", "/admin/phones/", "phones"))),
    entry("account", "Your account", "/admin/account/", "person"),
];

/// The entries that a person sees.
pub fn of(is_admin: bool, sandbox: bool) -> Vec<Entry> {
    ENTRIES.iter().filter(|entry| (is_admin || !entry.admins) && (sandbox || !entry.sandbox)).copied().collect()
}
