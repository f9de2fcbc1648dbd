"""Reading annotated crowd images and turning them into training crops."""
