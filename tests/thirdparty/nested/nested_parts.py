"""What the metrics share: their code counts in the metrics' content version."""

UNIT = 1.0
