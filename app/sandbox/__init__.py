"""The built-in pretend football API: a deterministic season in two shapes, faults on demand."""
