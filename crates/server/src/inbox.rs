//! The way back: the only place that advances messages.
