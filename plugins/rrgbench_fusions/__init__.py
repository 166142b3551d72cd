"""First-party fusions."""
