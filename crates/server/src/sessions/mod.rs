//! The linked accounts that this node runs, one task each.
