//! Sentences about the configuration, each tried.
