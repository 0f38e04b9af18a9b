"""The numbers of the house: health, the books, what the dashboard shows; and who is told."""
