//! The plan: which runs a sweep consists of.
