//! Files of messages. Bytes lie in a [`FileStore`]; rows here say whose they are and which messages carry them.
//!
//! The order that keeps promises: bytes are durable before the row of a file is written, and that before a message with
//! it is accepted. What is left behind by a crash between two of these steps is a file that no message carries, or bytes
//! that no row knows; both are swept. A user's files are kept once, however many messages carry them.

mod files;
mod parts;
mod place;

pub(crate) use parts::address_of;
pub use place::{Bucket, FileStore, LocalFile, Opened};

use sanasend_model::FileId;

/// The file of a message to accept.
#[derive(Clone, PartialEq, Eq)]
pub struct NewMedia {
    /// The stored file.
    pub file: FileId,
    /// A small JPEG of it, where there is one.
    pub thumbnail: Option<Vec<u8>>,
}

/// The file of a message that came in.
#[derive(Clone, PartialEq, Eq)]
pub struct IncomingMedia {
    /// How to fetch it; the engine's own, sealed on disk.
    pub remote: Vec<u8>,
    /// The small picture that came with it.
    pub thumbnail: Option<Vec<u8>>,
    /// Whether to fetch it soon, by a job `media.fetch`.
    pub fetch: bool,
}

/// What is kept of a message's file beside its description.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct MediaPart {
    /// The stored file.
    pub file: Option<FileId>,
    /// A small JPEG of it.
    pub thumbnail: Option<Vec<u8>>,
    /// How to fetch it from WhatsApp.
    pub remote: Option<Vec<u8>>,
    /// Where it was handed to WhatsApp.
    pub uploaded: Option<Vec<u8>>,
}

/// Pictures and keys of people are not for logs.
macro_rules! hide {
    ($($name:ident),*) => { $(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )* };
}
hide!(NewMedia, IncomingMedia, MediaPart);
