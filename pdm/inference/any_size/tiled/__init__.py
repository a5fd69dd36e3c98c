"""One enlargement or one composition of several pictures side by side, drawn tile by tile."""
