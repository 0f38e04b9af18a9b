"""When periodic work is due, and that each due time fires once however many workers run."""
