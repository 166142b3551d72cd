"""First-party adapters."""
