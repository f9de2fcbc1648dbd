"""How procedural scenes are painted: surfaces, the camera, people, props, the places where they stand."""
