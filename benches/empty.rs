//! What a static program costs that does nothing: the floor.
fn main() {}
