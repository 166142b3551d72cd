"""First-party floors."""
