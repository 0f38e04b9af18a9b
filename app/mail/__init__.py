"""Letters to users: asked for in a transaction, written and sent by a job."""
