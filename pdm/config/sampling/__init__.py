"""What is drawn, at which size, and how a large picture is made of tiles."""
