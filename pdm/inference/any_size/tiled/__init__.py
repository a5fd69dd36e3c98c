"""One enlargement or one composition of several images side by side, drawn tile by tile."""
