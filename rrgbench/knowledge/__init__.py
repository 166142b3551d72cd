"""What train reports know: a graph of anatomy and observations, its file, and which of its nodes are active for a study."""
