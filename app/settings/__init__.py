"""Settings that are changed in the panel: stored over what the environment says."""
