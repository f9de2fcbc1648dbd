"""One job over many processes and machines: parts that are whole or absent, done again until every image has a row."""
