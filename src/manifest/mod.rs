//! What `checks-manifest/` says, as Rust: made by the build script, one module per check; and the
//! whole list as data, with what operators say otherwise.

pub mod book;
pub mod schema;

mod generated {
    #![allow(missing_docs, reason = "each item is documented by its manifest entry")]
    include!(concat!(env!("OUT_DIR"), "/manifest.rs"));
}
pub use generated::*;
