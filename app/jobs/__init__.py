"""The ledger: what was asked for and what became of it. The only place that changes a state."""
