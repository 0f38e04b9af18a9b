"""What things cost, as ratios to a baseline measured in the same run. `python dev.py bench`."""
