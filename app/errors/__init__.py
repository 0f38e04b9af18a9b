"""What went wrong: told apart, recorded, resolved. Nothing here fetches or retries."""
