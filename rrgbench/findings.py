"""Public: which findings a report states, read from its graph in RadGraph's schema."""
