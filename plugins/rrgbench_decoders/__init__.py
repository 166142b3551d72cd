"""First-party decoders."""
