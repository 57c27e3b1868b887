//! The `trickle` binary: the command line with the built-in processors.

fn main() {}
