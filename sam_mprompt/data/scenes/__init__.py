"""How procedural scenes are painted: surfaces, the camera, people, props, the places where they stand."""

MIN_SIDE = 32
"""The smallest side of a scene in pixels."""

MOST_HEADS = 5000
"""The most people that can be asked for in one scene."""
