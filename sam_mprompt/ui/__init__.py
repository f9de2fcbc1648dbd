"""The page: count photographs and videos in a browser, correct heads, train on them, and compare."""
