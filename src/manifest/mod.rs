//! What `checks-manifest/` says, as Rust: made by the build script, one module per check.

pub mod schema;

mod generated {
    #![allow(missing_docs, reason = "each item is documented by its manifest entry")]
    include!(concat!(env!("OUT_DIR"), "/manifest.rs"));
}
pub use generated::*;
