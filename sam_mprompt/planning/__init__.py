"""Planning: a recipe for someone's own photographs, by fixed rules from what the images and the machine are."""
