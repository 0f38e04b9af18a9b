"""The chaos drill: workers killed on a database of their own, and a receipt of what came of it."""
