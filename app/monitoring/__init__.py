"""The numbers of the house: health, the books, what the dashboard shows. Reads only."""
