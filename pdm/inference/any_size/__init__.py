"""Pictures of any size: how they are planned, drawn in rounds, given their colours, and written."""
