"""The football APIs: one pure adapter each, and the only place that speaks HTTP outward."""
