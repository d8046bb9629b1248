//! The way in: the only place that accepts messages.
