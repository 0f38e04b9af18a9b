"""Backups that are known to restore: archives, their proof, their restore, their keeping."""
