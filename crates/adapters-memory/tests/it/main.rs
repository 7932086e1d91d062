//! The in-memory adapters: the contracts of all ports, and what is special to memory.

mod contracts;
mod faults;
mod harness;
mod humans;
mod images;
mod many;
mod sharing;
mod starting;
mod world;
