//! The lease ledger as a sans-IO state machine.
