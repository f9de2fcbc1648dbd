"""What counters are worth: recipes trained in variants and seeds, compared on validation and on test."""
